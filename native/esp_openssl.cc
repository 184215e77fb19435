// Seals and opens single packets with OpenSSL (RFC 4303 sections 3.3 and 3.4, and the RFCs of esp_transform.cc).
#include "esp_openssl.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <cstdio>
#include <cstring>

#include "aes_mac.h"
#include "openssl_context.h"
#include "sa_table.h"

namespace tungate {

namespace {

// OpenSSL's name of the cipher; null for no cipher.
const char* CipherName(const EncrTransform& encr, char (&buffer)[32]) {
  const char* mode = nullptr;
  switch (encr.mode) {
    case CipherMode::kNull:
      return nullptr;
    case CipherMode::kDes3Cbc:
      return "DES-EDE3-CBC";
    case CipherMode::kChaCha20Poly1305:
      return "ChaCha20-Poly1305";
    case CipherMode::kAesCbc:
      mode = "CBC";
      break;
    case CipherMode::kAesCtr:
      mode = "CTR";
      break;
    case CipherMode::kAesCcm:
      mode = "CCM";
      break;
    case CipherMode::kAesGcm:
    case CipherMode::kAesGmac:
      mode = "GCM";
      break;
  }
  snprintf(buffer, sizeof buffer, "AES-%u-%s", encr.key_bits, mode);
  return buffer;
}

// AES-GCM, AES-GMAC and ChaCha20-Poly1305. The tag goes in with the nonce and comes out by a parameter made once, as
// EVP_CIPHER_CTX_ctrl makes parameters anew with every call.
class AeadCipher final : public EspCipher {
 public:
  AeadCipher(const EspShape& shape, CipherContext context)
      : shape_(shape),
        is_gmac_(shape.encr->mode == CipherMode::kAesGmac),
        context_(std::move(context)),
        tag_{OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, nullptr, shape.icv_length),
             OSSL_PARAM_construct_end()} {}

  bool Seal(uint8_t* esp, size_t length, uint64_t sequence) override {
    shape_.WriteCounterIv(esp, sequence);
    uint8_t* icv = shape_.data(esp) + length;
    EVP_CIPHER_CTX* context = context_.get();
    uint8_t nonce[kNonceMax];
    shape_.Nonce(esp, static_cast<uint32_t>(sequence >> 32), nonce);
    int done = 0;
    tag_[0].data = icv;
    return EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) == 1 &&
           Crypt(esp, length, static_cast<uint32_t>(sequence >> 32)) &&
           EVP_EncryptFinal_ex(context, icv, &done) == 1 && EVP_CIPHER_CTX_get_params(context, tag_) == 1;
  }

  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) override {
    uint8_t* icv = shape_.data(esp) + length;
    EVP_CIPHER_CTX* context = context_.get();
    uint8_t nonce[kNonceMax];
    shape_.Nonce(esp, sequence_high, nonce);
    int done = 0;
    tag_[0].data = icv;
    return EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce, tag_) == 1 && Crypt(esp, length, sequence_high) &&
           EVP_DecryptFinal_ex(context, icv, &done) == 1;
  }

 private:
  // Takes the associated data and crypts the payload; of GMAC everything is associated data [ESP-23].
  bool Crypt(uint8_t* esp, size_t length, uint32_t sequence_high) {
    EVP_CIPHER_CTX* context = context_.get();
    uint8_t aad[kAadMax];
    const int aad_length = static_cast<int>(shape_.Aad(esp, sequence_high, aad));
    int done = 0;
    if (EVP_CipherUpdate(context, nullptr, &done, aad, aad_length) != 1) return false;
    if (is_gmac_) {
      const int covered = static_cast<int>(shape_.encr->iv_length + length);
      return EVP_CipherUpdate(context, nullptr, &done, esp + kEspHeader, covered) == 1;
    }
    uint8_t* data = shape_.data(esp);
    return EVP_CipherUpdate(context, data, &done, data, static_cast<int>(length)) == 1;
  }

  const EspShape shape_;
  const bool is_gmac_;
  CipherContext context_;
  OSSL_PARAM tag_[2];
};

// AES-CCM, which wants lengths beforehand (RFC 4309).
class CcmCipher final : public EspCipher {
 public:
  CcmCipher(const EspShape& shape, CipherContext context) : shape_(shape), context_(std::move(context)) {}

  bool Seal(uint8_t* esp, size_t length, uint64_t sequence) override {
    shape_.WriteCounterIv(esp, sequence);
    uint8_t* data = shape_.data(esp);
    EVP_CIPHER_CTX* context = context_.get();
    uint8_t nonce[kNonceMax];
    shape_.Nonce(esp, static_cast<uint32_t>(sequence >> 32), nonce);
    int done = 0;
    return EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) == 1 &&
           TakeAad(esp, length, static_cast<uint32_t>(sequence >> 32)) &&
           EVP_EncryptUpdate(context, data, &done, data, static_cast<int>(length)) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(shape_.icv_length),
                               data + length) == 1;
  }

  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) override {
    uint8_t* data = shape_.data(esp);
    EVP_CIPHER_CTX* context = context_.get();
    uint8_t nonce[kNonceMax];
    shape_.Nonce(esp, sequence_high, nonce);
    int done = 0;
    return EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(shape_.icv_length),
                               data + length) == 1 &&
           TakeAad(esp, length, sequence_high) &&
           EVP_DecryptUpdate(context, data, &done, data, static_cast<int>(length)) == 1;
  }

 private:
  bool TakeAad(const uint8_t* esp, size_t length, uint32_t sequence_high) {
    uint8_t aad[kAadMax];
    const int aad_length = static_cast<int>(shape_.Aad(esp, sequence_high, aad));
    int done = 0;
    return EVP_CipherUpdate(context_.get(), nullptr, &done, nullptr, static_cast<int>(length)) == 1 &&
           EVP_CipherUpdate(context_.get(), nullptr, &done, aad, aad_length) == 1;
  }

  const EspShape shape_;
  CipherContext context_;
};

// An integrity algorithm over a whole packet and, with ESN, the high half behind it (RFC 4303 section 2.2.1) [ESP-06].
class Mac {
 public:
  bool Prepare(const EspShape& shape, const uint8_t* key) {
    esn_ = shape.esn;
    const IntegTransform& integ = *shape.integ;
    is_aes_ = integ.mode == MacMode::kAesXcbc || integ.mode == MacMode::kAesCmac;
    if (is_aes_) return aes_.Prepare(integ.mode, key);
    std::unique_ptr<EVP_MAC, OpensslDelete> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
    if (mac == nullptr) return false;
    hmac_.reset(EVP_MAC_CTX_new(mac.get()));
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(DigestName(integ.mode)), 0),
        OSSL_PARAM_construct_end(),
    };
    return hmac_ != nullptr && EVP_MAC_init(hmac_.get(), key, integ.key_length, parameters) == 1;
  }

  // `full` has room for EVP_MAX_MD_SIZE octets.
  bool Compute(const uint8_t* data, size_t length, uint32_t sequence_high, uint8_t* full) {
    uint8_t high[4];
    WriteBig32(high, sequence_high);
    if (is_aes_)
      return aes_.Begin() && aes_.Update(data, length) && (!esn_ || aes_.Update(high, sizeof high)) &&
             aes_.Final(full);
    EVP_MAC_CTX* context = hmac_.get();
    size_t done = 0;
    return EVP_MAC_init(context, nullptr, 0, nullptr) == 1 && EVP_MAC_update(context, data, length) == 1 &&
           (!esn_ || EVP_MAC_update(context, high, sizeof high) == 1) &&
           EVP_MAC_final(context, full, &done, EVP_MAX_MD_SIZE) == 1;
  }

 private:
  static const char* DigestName(MacMode mode) {
    switch (mode) {
      case MacMode::kSha1:
        return "SHA1";
      case MacMode::kSha256:
        return "SHA256";
      case MacMode::kSha384:
        return "SHA384";
      default:
        return "SHA512";
    }
  }

  bool esn_ = false;
  bool is_aes_ = false;
  MacContext hmac_;
  AesMac aes_;
};

// A cipher that authenticates nothing, or none, and a MAC over what it made.
class CipherWithMac final : public EspCipher {
 public:
  explicit CipherWithMac(const EspShape& shape) : shape_(shape) {}

  bool Prepare(const SlotKeys& keys, CipherContext context, bool encrypts) {
    context_ = std::move(context);
    if (is_cbc() && encrypts) {
      iv_cipher_ = KeyedCipher("AES-128-ECB", keys.iv_key, true);
      if (iv_cipher_ == nullptr) return false;
    }
    return mac_.Prepare(shape_, keys.integ_key);
  }

  bool Seal(uint8_t* esp, size_t length, uint64_t sequence) override {
    uint8_t* data = shape_.data(esp);
    if (is_cbc()) {
      if (!MakeCbcIv(sequence, esp + kEspHeader)) return false;
    } else {
      shape_.WriteCounterIv(esp, sequence);
    }
    if (!Crypt(esp, length)) return false;
    uint8_t full[EVP_MAX_MD_SIZE];
    if (!mac_.Compute(esp, kEspHeader + shape_.encr->iv_length + length, static_cast<uint32_t>(sequence >> 32), full))
      return false;
    memcpy(data + length, full, shape_.icv_length);
    OPENSSL_cleanse(full, sizeof full);
    return true;
  }

  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high) override {
    uint8_t full[EVP_MAX_MD_SIZE];
    const bool is_authentic =
        mac_.Compute(esp, kEspHeader + shape_.encr->iv_length + length, sequence_high, full) &&
        CRYPTO_memcmp(full, shape_.data(esp) + length, shape_.icv_length) == 0;
    OPENSSL_cleanse(full, sizeof full);
    return is_authentic && Crypt(esp, length);
  }

 private:
  bool is_cbc() const {
    return shape_.encr->mode == CipherMode::kAesCbc || shape_.encr->mode == CipherMode::kDes3Cbc;
  }

  // Nobody without the key can tell the next one, and with AES none comes twice [ESP-21].
  bool MakeCbcIv(uint64_t sequence, uint8_t* iv) {
    uint8_t counter[kIvMax] = {};
    WriteBig64(counter, sequence);
    if (!CryptBlocks(iv_cipher_.get(), counter, counter, sizeof counter)) return false;
    memcpy(iv, counter, shape_.encr->iv_length);
    return true;
  }

  bool Crypt(uint8_t* esp, size_t length) {
    if (context_ == nullptr) return true;
    uint8_t start[kIvMax];
    if (is_cbc())
      memcpy(start, esp + kEspHeader, shape_.encr->iv_length);
    else
      shape_.CounterBlock(esp, start);
    uint8_t* data = shape_.data(esp);
    return EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, start, -1, nullptr) == 1 &&
           CryptBlocks(context_.get(), data, data, length);
  }

  const EspShape shape_;
  CipherContext context_;
  CipherContext iv_cipher_;
  Mac mac_;
};

// AES-GMAC of AH (RFC 4543 section 4): what stands behind the packet is its IV, then the tag [AH-17].
class AhGmacCipher final : public EspCipher {
 public:
  AhGmacCipher(const EspShape& shape, const SlotKeys& keys)
      : shape_(shape), tag_{OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, nullptr, kTag),
                            OSSL_PARAM_construct_end()} {
    const size_t key_length = shape.integ->key_length - sizeof salt_;
    char name[32];
    snprintf(name, sizeof name, "AES-%zu-GCM", key_length * 8);
    memcpy(salt_, keys.integ_key + key_length, sizeof salt_);
    context_ = KeyedCipher(name, keys.integ_key, true);
  }

  bool is_ready() const { return context_ != nullptr; }

  bool Seal(uint8_t* packet, size_t length, uint64_t sequence) override {
    uint8_t* icv = shape_.data(packet) + length;
    WriteBig64(icv, sequence);
    return Compute(packet, icv, static_cast<uint32_t>(sequence >> 32), icv, icv + kIv);
  }

  bool Open(uint8_t* packet, size_t length, uint32_t sequence_high) override {
    const uint8_t* icv = shape_.data(packet) + length;
    uint8_t tag[kTag];
    return Compute(packet, icv, sequence_high, icv, tag) && CRYPTO_memcmp(tag, icv + kIv, kTag) == 0;
  }

 private:
  static constexpr size_t kIv = 8;
  static constexpr size_t kTag = 16;

  // Over what lies between `from` and `to` and, with ESN, the high half behind it [AH-09].
  bool Compute(const uint8_t* from, const uint8_t* to, uint32_t sequence_high, const uint8_t* iv, uint8_t* tag) {
    EVP_CIPHER_CTX* context = context_.get();
    uint8_t nonce[sizeof salt_ + kIv];
    uint8_t high[4];
    int done = 0;
    memcpy(nonce, salt_, sizeof salt_);
    memcpy(nonce + sizeof salt_, iv, kIv);
    WriteBig32(high, sequence_high);
    tag_[0].data = tag;
    return EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) == 1 &&
           EVP_CipherUpdate(context, nullptr, &done, from, static_cast<int>(to - from)) == 1 &&
           (!shape_.esn || EVP_CipherUpdate(context, nullptr, &done, high, sizeof high) == 1) &&
           EVP_EncryptFinal_ex(context, tag, &done) == 1 && EVP_CIPHER_CTX_get_params(context, tag_) == 1;
  }

  const EspShape shape_;
  uint8_t salt_[4];
  CipherContext context_;
  OSSL_PARAM tag_[2];
};

// CCM takes the lengths of nonce and tag before its key.
CipherContext KeyedCcm(const char* name, const EspShape& shape, const uint8_t* key, bool encrypts) {
  std::unique_ptr<EVP_CIPHER, OpensslDelete> cipher(EVP_CIPHER_fetch(nullptr, name, nullptr));
  CipherContext context(EVP_CIPHER_CTX_new());
  const int nonce_length = static_cast<int>(shape.encr->salt_length + 8);
  if (cipher == nullptr || context == nullptr ||
      EVP_CipherInit_ex2(context.get(), cipher.get(), nullptr, nullptr, encrypts ? 1 : 0, nullptr) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN, nonce_length, nullptr) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(shape.icv_length), nullptr) != 1 ||
      EVP_CipherInit_ex2(context.get(), nullptr, key, nullptr, -1, nullptr) != 1)
    return nullptr;
  return context;
}

}  // namespace

std::unique_ptr<EspCipher> MakeOpensslCipher(const SlotKeys& keys, const EspShape& shape) {
  if (shape.integ != nullptr && shape.integ->mode == MacMode::kAesGmac) {
    auto gmac = std::make_unique<AhGmacCipher>(shape, keys);
    return gmac->is_ready() ? std::move(gmac) : nullptr;
  }
  const bool encrypts = keys.direction == sa_table::kDirectionOutbound;
  char buffer[32];
  const char* name = CipherName(*shape.encr, buffer);
  CipherContext context;
  if (name != nullptr) {
    context = shape.encr->mode == CipherMode::kAesCcm ? KeyedCcm(name, shape, keys.encr_key, encrypts)
                                                      : KeyedCipher(name, keys.encr_key, encrypts);
    if (context == nullptr) return nullptr;
  }
  if (shape.encr->mode == CipherMode::kAesCcm) return std::make_unique<CcmCipher>(shape, std::move(context));
  if (shape.integ == nullptr) return std::make_unique<AeadCipher>(shape, std::move(context));
  auto cipher = std::make_unique<CipherWithMac>(shape);
  if (!cipher->Prepare(keys, std::move(context), encrypts)) return nullptr;
  return cipher;
}

}  // namespace tungate
