// Seals and opens single packets with OpenSSL (RFC 4303 sections 3.3 and 3.4, RFC 4106, RFC 7634, RFC 3602, RFC 4868).
#include "esp_context.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <cstring>

namespace tungate {

namespace {

void Store32(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 24);
  at[1] = static_cast<uint8_t>(value >> 16);
  at[2] = static_cast<uint8_t>(value >> 8);
  at[3] = static_cast<uint8_t>(value);
}

void Store64(uint8_t* at, uint64_t value) {
  Store32(at, static_cast<uint32_t>(value >> 32));
  Store32(at + 4, static_cast<uint32_t>(value));
}

CipherContext Keyed(const char* name, const uint8_t* key, bool encrypts) {
  std::unique_ptr<EVP_CIPHER, OpensslDelete> cipher(EVP_CIPHER_fetch(nullptr, name, nullptr));
  CipherContext context(EVP_CIPHER_CTX_new());
  if (cipher == nullptr || context == nullptr ||
      EVP_CipherInit_ex2(context.get(), cipher.get(), key, nullptr, encrypts ? 1 : 0, nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1)
    return nullptr;
  return context;
}

MacContext KeyedMac(const IntegTransform& integ, const uint8_t* key) {
  std::unique_ptr<EVP_MAC, OpensslDelete> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  if (mac == nullptr) return nullptr;
  MacContext context(EVP_MAC_CTX_new(mac.get()));
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(integ.digest), 0),
      OSSL_PARAM_construct_end(),
  };
  if (context == nullptr || EVP_MAC_init(context.get(), key, integ.key_length, parameters) != 1) return nullptr;
  return context;
}

}  // namespace

std::unique_ptr<EspContext> EspContext::Make(const SlotKeys& keys, uint32_t version) {
  std::unique_ptr<EspContext> context(new EspContext());
  context->version_ = version;
  return context->Prepare(keys) ? std::move(context) : nullptr;
}

bool EspContext::Prepare(const SlotKeys& keys) {
  encr_ = FindEncr(keys.encr, keys.key_bits);
  integ_ = FindInteg(keys.integ);
  if (encr_ == nullptr || (encr_->icv_length != 0) == (integ_ != nullptr)) return false;
  direction_ = keys.direction;
  esn_ = keys.esn != 0;
  icv_length_ = integ_ != nullptr ? integ_->icv_length : encr_->icv_length;
  const bool encrypts = direction_ == sa_table::kDirectionOutbound;
  memcpy(salt_, keys.encr_key + encr_->key_length, encr_->salt_length);
  if (encr_->cipher != nullptr) {
    cipher_ = Keyed(encr_->cipher, keys.encr_key, encrypts);
    if (cipher_ == nullptr) return false;
  }
  if (encr_->id == kEncrAesCbc && encrypts) {
    iv_cipher_ = Keyed("AES-128-ECB", keys.iv_key, true);
    if (iv_cipher_ == nullptr) return false;
  }
  if (integ_ != nullptr) {
    mac_ = KeyedMac(*integ_, keys.integ_key);
    if (mac_ == nullptr) return false;
  }
  return true;
}

size_t EspContext::Aad(const uint8_t* esp, uint32_t sequence_high, uint8_t* aad) const {
  if (!esn_) {
    memcpy(aad, esp, kEspHeader);
    return kEspHeader;
  }
  memcpy(aad, esp, 4);
  Store32(aad + 4, sequence_high);
  memcpy(aad + 8, esp + 4, 4);
  return 12;
}

bool EspContext::Seal(uint8_t* esp, size_t length, uint64_t sequence) {
  const uint32_t sequence_high = static_cast<uint32_t>(sequence >> 32);
  uint8_t* iv = esp + kEspHeader;
  uint8_t* data = iv + encr_->iv_length;
  if (integ_ == nullptr) {
    // The number is taken once per key, which is all that a counter mode asks of its IV.
    Store64(iv, sequence);
    return SealAead(esp, length, sequence_high);
  }
  if (encr_->cipher != nullptr) {
    uint8_t chain[kIvMax];
    if (!MakeCbcIv(sequence, iv)) return false;
    memcpy(chain, iv, sizeof chain);
    if (!CryptCbc(chain, data, length)) return false;
  }
  uint8_t full[EVP_MAX_MD_SIZE];
  if (!Mac(esp, kEspHeader + encr_->iv_length + length, sequence_high, full)) return false;
  memcpy(data + length, full, icv_length_);
  OPENSSL_cleanse(full, sizeof full);
  return true;
}

bool EspContext::SealAead(uint8_t* esp, size_t length, uint32_t sequence_high) {
  EVP_CIPHER_CTX* context = cipher_.get();
  uint8_t nonce[12];
  uint8_t aad[12];
  const size_t aad_length = Aad(esp, sequence_high, aad);
  memcpy(nonce, salt_, 4);
  memcpy(nonce + 4, esp + kEspHeader, 8);
  uint8_t* data = esp + kEspHeader + encr_->iv_length;
  int done = 0;
  return EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) == 1 &&
         EVP_EncryptUpdate(context, nullptr, &done, aad, static_cast<int>(aad_length)) == 1 &&
         EVP_EncryptUpdate(context, data, &done, data, static_cast<int>(length)) == 1 &&
         EVP_EncryptFinal_ex(context, data + length, &done) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(icv_length_), data + length) == 1;
}

bool EspContext::Open(uint8_t* esp, size_t length, uint32_t sequence_high) {
  if (integ_ == nullptr) return OpenAead(esp, length, sequence_high);
  uint8_t* iv = esp + kEspHeader;
  uint8_t* data = iv + encr_->iv_length;
  uint8_t full[EVP_MAX_MD_SIZE];
  const bool is_authentic = Mac(esp, kEspHeader + encr_->iv_length + length, sequence_high, full) &&
                            CRYPTO_memcmp(full, data + length, icv_length_) == 0;
  OPENSSL_cleanse(full, sizeof full);
  if (!is_authentic) return false;
  return encr_->cipher == nullptr || CryptCbc(iv, data, length);
}

bool EspContext::OpenAead(uint8_t* esp, size_t length, uint32_t sequence_high) {
  EVP_CIPHER_CTX* context = cipher_.get();
  uint8_t nonce[12];
  uint8_t aad[12];
  const size_t aad_length = Aad(esp, sequence_high, aad);
  memcpy(nonce, salt_, 4);
  memcpy(nonce + 4, esp + kEspHeader, 8);
  uint8_t* data = esp + kEspHeader + encr_->iv_length;
  int done = 0;
  return EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce, nullptr) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(icv_length_), data + length) == 1 &&
         EVP_DecryptUpdate(context, nullptr, &done, aad, static_cast<int>(aad_length)) == 1 &&
         EVP_DecryptUpdate(context, data, &done, data, static_cast<int>(length)) == 1 &&
         EVP_DecryptFinal_ex(context, data + length, &done) == 1;
}

bool EspContext::MakeCbcIv(uint64_t sequence, uint8_t* iv) {
  uint8_t counter[kIvMax] = {};
  int done = 0;
  Store64(counter, sequence);
  return EVP_EncryptUpdate(iv_cipher_.get(), iv, &done, counter, sizeof counter) == 1 &&
         done == static_cast<int>(sizeof counter);
}

bool EspContext::CryptCbc(uint8_t* iv, uint8_t* data, size_t length) {
  int done = 0;
  return EVP_CipherInit_ex2(cipher_.get(), nullptr, nullptr, iv, -1, nullptr) == 1 &&
         EVP_CipherUpdate(cipher_.get(), data, &done, data, static_cast<int>(length)) == 1 &&
         done == static_cast<int>(length);
}

bool EspContext::Mac(const uint8_t* data, size_t length, uint32_t sequence_high, uint8_t* full) {
  EVP_MAC_CTX* context = mac_.get();
  uint8_t high[4];
  size_t done = 0;
  Store32(high, sequence_high);
  return EVP_MAC_init(context, nullptr, 0, nullptr) == 1 && EVP_MAC_update(context, data, length) == 1 &&
         (!esn_ || EVP_MAC_update(context, high, sizeof high) == 1) &&
         EVP_MAC_final(context, full, &done, EVP_MAX_MD_SIZE) == 1;
}

}  // namespace tungate
