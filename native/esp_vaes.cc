// Implements the ciphers around vaes_gcm.h.
#include "esp_vaes.h"

#include <openssl/crypto.h>

#include <cstring>

#include "vaes_gcm.h"

namespace tungate {

namespace {

class VaesCipher final : public EspCipher {
 public:
  VaesCipher(const SlotKeys& keys, const EspShape& shape)
      : shape_(shape), gcm_(keys.encr_key, shape.encr->key_length) {}

  bool Seal(uint8_t* esp, size_t length, uint64_t sequence) override {
    shape_.WriteCounterIv(esp, sequence);
    const uint32_t sequence_high = static_cast<uint32_t>(sequence >> 32);
    uint8_t nonce[kNonceMax];
    uint8_t aad[kAadMax];
    uint8_t tag[VaesGcm::kTag];
    shape_.Nonce(esp, sequence_high, nonce);
    const size_t aad_length = shape_.Aad(esp, sequence_high, aad);
    uint8_t* data = shape_.data(esp);
    gcm_.Seal(nonce, aad, aad_length, data, length, data, tag);
    memcpy(data + length, tag, shape_.icv_length);
    return true;
  }

  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) override {
    uint8_t nonce[kNonceMax];
    uint8_t aad[kAadMax];
    uint8_t tag[VaesGcm::kTag];
    shape_.Nonce(esp, sequence_high, nonce);
    const size_t aad_length = shape_.Aad(esp, sequence_high, aad);
    uint8_t* data = shape_.data(esp);
    gcm_.Open(nonce, aad, aad_length, data, length, data, tag);
    return CRYPTO_memcmp(tag, data + length, shape_.icv_length) == 0;
  }

 private:
  const EspShape shape_;
  const VaesGcm gcm_;
};

}  // namespace

std::unique_ptr<EspCipher> MakeVaesCipher(const SlotKeys& keys, const EspShape& shape) {
  if (shape.encr->mode != CipherMode::kAesGcm || !VaesGcm::IsSupported()) return nullptr;
  return std::make_unique<VaesCipher>(keys, shape);
}

}  // namespace tungate
