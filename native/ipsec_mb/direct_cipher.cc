// Implements the single calls (RFC 4106, RFC 4543, RFC 7634, RFC 8750).
#include "direct_cipher.h"

#include <openssl/crypto.h>

#include <cstring>

namespace tungate {

namespace {

// The functions of one key length.
struct GcmFunctions {
  aes_gcm_pre_t pre;
  aes_gcm_enc_dec_t seal;
  aes_gcm_enc_dec_t open;
  aes_gmac_init_t gmac_init;
  aes_gmac_update_t gmac_update;
  aes_gmac_finalize_t gmac_finalize;
};

GcmFunctions FunctionsFor(const IMB_MGR* manager, uint32_t key_bits) {
  if (key_bits == 128)
    return {manager->gcm128_pre,   manager->gcm128_enc,     manager->gcm128_dec,
            manager->gmac128_init, manager->gmac128_update, manager->gmac128_finalize};
  if (key_bits == 192)
    return {manager->gcm192_pre,   manager->gcm192_enc,     manager->gcm192_dec,
            manager->gmac192_init, manager->gmac192_update, manager->gmac192_finalize};
  return {manager->gcm256_pre,   manager->gcm256_enc,     manager->gcm256_dec,
          manager->gmac256_init, manager->gmac256_update, manager->gmac256_finalize};
}

class GcmCipher final : public EspCipher {
 public:
  GcmCipher(const IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape)
      : shape_(shape), functions_(FunctionsFor(manager, keys.key_bits)) {
    functions_.pre(keys.encr_key, &key_);
  }
  ~GcmCipher() override { OPENSSL_cleanse(&key_, sizeof key_); }

  bool Seal(uint8_t* esp, size_t length, uint64_t sequence) override {
    shape_.WriteCounterIv(esp, sequence);
    uint8_t* data = shape_.data(esp);
    Crypt(functions_.seal, esp, length, static_cast<uint32_t>(sequence >> 32), data + length);
    return true;
  }

  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) override {
    uint8_t icv[kIcvMax];
    Crypt(functions_.open, esp, length, sequence_high, icv);
    return CRYPTO_memcmp(icv, shape_.data(esp) + length, shape_.icv_length) == 0;
  }

 private:
  void Crypt(aes_gcm_enc_dec_t crypt, uint8_t* esp, size_t length, uint32_t sequence_high, uint8_t* icv) {
    gcm_context_data context;
    uint8_t nonce[kNonceMax];
    uint8_t aad[kAadMax];
    shape_.Nonce(esp, sequence_high, nonce);
    const size_t aad_length = shape_.Aad(esp, sequence_high, aad);
    uint8_t* data = shape_.data(esp);
    crypt(&key_, &context, data, data, length, nonce, aad, aad_length, icv, shape_.icv_length);
  }

  alignas(64) gcm_key_data key_;
  const EspShape shape_;
  const GcmFunctions functions_;
};

// Everything is associated data: SPI, sequence number, IV, payload (RFC 4543 section 3.3) [ESP-23].
class GmacCipher final : public EspCipher {
 public:
  GmacCipher(const IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape)
      : shape_(shape), functions_(FunctionsFor(manager, keys.key_bits)) {
    functions_.pre(keys.encr_key, &key_);
  }
  ~GmacCipher() override { OPENSSL_cleanse(&key_, sizeof key_); }

  bool Seal(uint8_t* esp, size_t length, uint64_t sequence) override {
    shape_.WriteCounterIv(esp, sequence);
    Compute(esp, length, static_cast<uint32_t>(sequence >> 32), shape_.data(esp) + length);
    return true;
  }

  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) override {
    uint8_t icv[kIcvMax];
    Compute(esp, length, sequence_high, icv);
    return CRYPTO_memcmp(icv, shape_.data(esp) + length, shape_.icv_length) == 0;
  }

 private:
  void Compute(const uint8_t* esp, size_t length, uint32_t sequence_high, uint8_t* icv) {
    gcm_context_data context;
    uint8_t nonce[kNonceMax];
    uint8_t aad[kAadMax];
    const size_t nonce_length = shape_.Nonce(esp, sequence_high, nonce);
    const size_t aad_length = shape_.Aad(esp, sequence_high, aad);
    functions_.gmac_init(&key_, &context, nonce, nonce_length);
    functions_.gmac_update(&key_, &context, aad, aad_length);
    functions_.gmac_update(&key_, &context, esp + kEspHeader, shape_.encr->iv_length + length);
    functions_.gmac_finalize(&key_, &context, icv, shape_.icv_length);
  }

  alignas(64) gcm_key_data key_;
  const EspShape shape_;
  const GcmFunctions functions_;
};

class ChaChaCipher final : public EspCipher {
 public:
  ChaChaCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape) : shape_(shape), manager_(manager) {
    memcpy(key_, keys.encr_key, sizeof key_);
  }
  ~ChaChaCipher() override { OPENSSL_cleanse(key_, sizeof key_); }

  bool Seal(uint8_t* esp, size_t length, uint64_t sequence) override {
    shape_.WriteCounterIv(esp, sequence);
    uint8_t* data = shape_.data(esp);
    chacha20_poly1305_context_data context;
    Begin(esp, static_cast<uint32_t>(sequence >> 32), &context);
    IMB_CHACHA20_POLY1305_ENC_UPDATE(manager_, key_, &context, data, data, length);
    IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager_, &context, data + length, shape_.icv_length);
    OPENSSL_cleanse(&context, sizeof context);
    return true;
  }

  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) override {
    uint8_t* data = shape_.data(esp);
    uint8_t icv[kIcvMax];
    chacha20_poly1305_context_data context;
    Begin(esp, sequence_high, &context);
    IMB_CHACHA20_POLY1305_DEC_UPDATE(manager_, key_, &context, data, data, length);
    IMB_CHACHA20_POLY1305_DEC_FINALIZE(manager_, &context, icv, shape_.icv_length);
    OPENSSL_cleanse(&context, sizeof context);
    return CRYPTO_memcmp(icv, data + length, shape_.icv_length) == 0;
  }

 private:
  void Begin(const uint8_t* esp, uint32_t sequence_high, chacha20_poly1305_context_data* context) {
    uint8_t nonce[kNonceMax];
    uint8_t aad[kAadMax];
    shape_.Nonce(esp, sequence_high, nonce);
    const size_t aad_length = shape_.Aad(esp, sequence_high, aad);
    IMB_CHACHA20_POLY1305_INIT(manager_, key_, context, nonce, aad, aad_length);
  }

  alignas(64) uint8_t key_[32];
  const EspShape shape_;
  IMB_MGR* const manager_;
};

}  // namespace

EspCipher* MakeGcmCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape) {
  return new GcmCipher(manager, keys, shape);
}

EspCipher* MakeGmacCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape) {
  return new GmacCipher(manager, keys, shape);
}

EspCipher* MakeChaChaCipher(IMB_MGR* manager, const SlotKeys& keys, const EspShape& shape) {
  return new ChaChaCipher(manager, keys, shape);
}

}  // namespace tungate
