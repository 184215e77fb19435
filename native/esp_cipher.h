// One key's cipher in one thread, whoever does the work: seals and opens single packets in place.
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

}  // namespace tungate

#endif
