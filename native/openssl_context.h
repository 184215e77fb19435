// OpenSSL's contexts with owners, and a keyed cipher.
#ifndef TUNGATE_OPENSSL_CONTEXT_H
#define TUNGATE_OPENSSL_CONTEXT_H

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tungate {

struct OpensslDelete {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, OpensslDelete>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, OpensslDelete>;

// Null when OpenSSL refuses. Without padding switched off, which would cost a set of parameters with every new IV: what
// this is not for is EVP_CipherUpdate of a block cipher.
inline CipherContext KeyedCipher(const char* name, const uint8_t* key, bool encrypts) {
  std::unique_ptr<EVP_CIPHER, OpensslDelete> cipher(EVP_CIPHER_fetch(nullptr, name, nullptr));
  CipherContext context(EVP_CIPHER_CTX_new());
  if (cipher == nullptr || context == nullptr ||
      EVP_CipherInit_ex2(context.get(), cipher.get(), key, nullptr, encrypts ? 1 : 0, nullptr) != 1)
    return nullptr;
  return context;
}

// Whole blocks of a block cipher, or any octets of a stream cipher, without padding and without holding anything back.
inline bool CryptBlocks(EVP_CIPHER_CTX* context, const uint8_t* from, uint8_t* to, size_t length) {
  return EVP_Cipher(context, to, from, static_cast<unsigned>(length)) == static_cast<int>(length);
}

}  // namespace tungate

#endif
