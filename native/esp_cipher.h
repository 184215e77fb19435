// One key's cipher in one thread, whoever does the work: seals and opens packets in place, one by one or many at once.
#ifndef TUNGATE_ESP_CIPHER_H
#define TUNGATE_ESP_CIPHER_H

#include <cstddef>
#include <cstdint>

namespace tungate {

class EspCipher {
 public:
  virtual ~EspCipher() = default;
  // `esp` is SPI, sequence number, room for the IV, `length` octets of plaintext, room for the ICV.
  virtual bool Seal(uint8_t* esp, size_t length, uint64_t sequence) = 0;
  // `esp` is a whole packet with `length` octets of ciphertext. False when it is not authentic [ESP-12] [ESP-13].
  virtual bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) = 0;

 protected:
  EspCipher() = default;
  EspCipher(const EspCipher&) = delete;
  EspCipher& operator=(const EspCipher&) = delete;
};

// One of many packets; `esp` and `length` as above.
struct EspWork {
  uint8_t* esp;
  size_t length;
  // To open: in its upper half what the packet does not say.
  uint64_t sequence;
  bool is_done;

  uint32_t sequence_high() const { return static_cast<uint32_t>(sequence >> 32); }
};

// What a chained mode or a hash does slowly for one packet it does for several side by side.
class EspManyCipher {
 public:
  static constexpr size_t kMax = 32;
  virtual ~EspManyCipher() = default;
  // At most kMax; says of each whether it is done.
  virtual void SealMany(EspWork* work, size_t count) = 0;
  virtual void OpenMany(EspWork* work, size_t count) = 0;

 protected:
  EspManyCipher() = default;
  EspManyCipher(const EspManyCipher&) = delete;
  EspManyCipher& operator=(const EspManyCipher&) = delete;
};

}  // namespace tungate

#endif
