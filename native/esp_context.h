// One SA's key in one thread: its facts and its cipher, made when the key is first used and kept until it is stale.
#ifndef TUNGATE_ESP_CONTEXT_H
#define TUNGATE_ESP_CONTEXT_H

#include <cstddef>
#include <cstdint>
#include <memory>

#include "esp_cipher.h"
#include "esp_provider.h"
#include "esp_shape.h"
#include "key_store.h"

namespace tungate {

class EspContext {
 public:
  // Null when the transforms do not go together or the cipher cannot be made. Who comes first does what it can: our
  // own VAES where the lane uses it, the lane's provider, OpenSSL.
  static std::unique_ptr<EspContext> Make(const SlotKeys& keys, uint32_t version, const EspLane& lane);

  uint32_t version() const { return version_; }
  uint32_t direction() const { return direction_; }
  bool esn() const { return shape_.esn; }
  size_t iv_length() const { return shape_.encr->iv_length; }
  size_t icv_length() const { return shape_.icv_length; }
  // ESP's alignment of the plaintext with its trailer [ESP-09].
  size_t block_size() const { return cipher_block_size() < 4 ? 4 : cipher_block_size(); }
  size_t cipher_block_size() const { return shape_.encr->block_size; }

  // No cipher: what is sealed stays as it is.
  bool only_authenticates() const { return shape_.encr->id == kEncrNull; }

  // Octets of IV at the beginning of AH's check value; what has some is not for ESP [AH-17].
  size_t mac_iv_length() const { return shape_.integ != nullptr ? shape_.integ->iv_length : 0; }

  // As EspCipher's.
  bool Seal(uint8_t* esp, size_t length, uint64_t sequence) { return cipher_->Seal(esp, length, sequence); }
  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) {
    return cipher_->Open(esp, length, sequence_high);
  }

  // Whether packets are better collected, up to EspManyCipher::kMax.
  bool takes_many() const { return many_ != nullptr; }
  void SealMany(EspWork* work, size_t count);
  void OpenMany(EspWork* work, size_t count);

 private:
  EspContext() = default;

  uint32_t version_ = 0;
  uint32_t direction_ = 0;
  EspShape shape_;
  std::unique_ptr<EspCipher> cipher_;
  std::unique_ptr<EspManyCipher> many_;
};

}  // namespace tungate

#endif
