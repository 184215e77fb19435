// AES-256-GCM with one key: by libipsec-mb where its header is there, else by OpenSSL. The nonce is the packet's sequence number.
#ifndef BENCH_AEAD_H
#define BENCH_AEAD_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

constexpr size_t kKeyOctets = 32;
constexpr size_t kTagOctets = 16;

// `packet` begins with SPI and sequence number (the associated data) and the IV of 8 octets; what follows the front is
// sealed in place, the tag behind it.
#if __has_include(<intel-ipsec-mb.h>)
#include <intel-ipsec-mb.h>

class Aead {
 public:
  static const char* Name() { return "libipsec-mb " IMB_VERSION_STR; }

  explicit Aead(const uint8_t* key) : manager_(alloc_mb_mgr(0)) {
    if (manager_ == nullptr) abort();
    init_mb_mgr_auto(manager_, nullptr);
    IMB_AES256_GCM_PRE(manager_, key, &key_);
  }

  void Seal(uint8_t* packet, size_t front, size_t length) {
    uint8_t nonce[12] = {};
    memcpy(nonce + 4, packet + 8, 8);
    uint8_t* text = packet + front;
    IMB_AES256_GCM_ENC(manager_, &key_, &context_, text, text, length, nonce, packet, 8, text + length, kTagOctets);
  }

  bool Open(uint8_t* packet, size_t front, size_t length) {
    uint8_t nonce[12] = {};
    memcpy(nonce + 4, packet + 8, 8);
    uint8_t* text = packet + front;
    uint8_t tag[kTagOctets];
    IMB_AES256_GCM_DEC(manager_, &key_, &context_, text, text, length, nonce, packet, 8, tag, kTagOctets);
    return memcmp(tag, text + length, kTagOctets) == 0;
  }

 private:
  IMB_MGR* manager_;
  gcm_key_data key_;
  gcm_context_data context_;
};

#else
#include <openssl/evp.h>

class Aead {
 public:
  static const char* Name() { return "libcrypto"; }

  explicit Aead(const uint8_t* key) : seal_(EVP_CIPHER_CTX_new()), open_(EVP_CIPHER_CTX_new()) {
    if (EVP_EncryptInit_ex(seal_, EVP_aes_256_gcm(), nullptr, key, nullptr) != 1 ||
        EVP_DecryptInit_ex(open_, EVP_aes_256_gcm(), nullptr, key, nullptr) != 1)
      abort();
  }

  void Seal(uint8_t* packet, size_t front, size_t length) {
    uint8_t nonce[12] = {};
    memcpy(nonce + 4, packet + 8, 8);
    uint8_t* text = packet + front;
    int done = 0;
    EVP_EncryptInit_ex(seal_, nullptr, nullptr, nullptr, nonce);
    EVP_EncryptUpdate(seal_, nullptr, &done, packet, 8);
    EVP_EncryptUpdate(seal_, text, &done, text, static_cast<int>(length));
    EVP_EncryptFinal_ex(seal_, text + length, &done);
    EVP_CIPHER_CTX_ctrl(seal_, EVP_CTRL_AEAD_GET_TAG, kTagOctets, text + length);
  }

  bool Open(uint8_t* packet, size_t front, size_t length) {
    uint8_t nonce[12] = {};
    memcpy(nonce + 4, packet + 8, 8);
    uint8_t* text = packet + front;
    int done = 0;
    EVP_DecryptInit_ex(open_, nullptr, nullptr, nullptr, nonce);
    EVP_DecryptUpdate(open_, nullptr, &done, packet, 8);
    EVP_DecryptUpdate(open_, text, &done, text, static_cast<int>(length));
    EVP_CIPHER_CTX_ctrl(open_, EVP_CTRL_AEAD_SET_TAG, kTagOctets, text + length);
    return EVP_DecryptFinal_ex(open_, text + length, &done) == 1;
  }

 private:
  EVP_CIPHER_CTX* seal_;
  EVP_CIPHER_CTX* open_;
};

#endif

#endif
