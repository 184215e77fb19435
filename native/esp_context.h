// Cipher and MAC contexts of one key in one thread: made when the key is first used, kept until it is stale.
#ifndef TUNGATE_ESP_CONTEXT_H
#define TUNGATE_ESP_CONTEXT_H

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "batch.h"
#include "key_store.h"

namespace tungate {

struct OpensslDelete {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, OpensslDelete>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, OpensslDelete>;

// Octets of SPI and sequence number in front of the IV.
constexpr size_t kEspHeader = 8;

class EspContext {
 public:
  // Null when OpenSSL refuses.
  static std::unique_ptr<EspContext> Make(const SlotKeys& keys, uint32_t version);

  uint32_t version() const { return version_; }
  uint32_t direction() const { return direction_; }
  bool esn() const { return esn_; }
  size_t iv_length() const { return encr_->iv_length; }
  size_t icv_length() const { return icv_length_; }
  // ESP's alignment of the plaintext with its trailer [ESP-09].
  size_t block_size() const { return encr_->block_size < 4 ? 4 : encr_->block_size; }
  size_t cipher_block_size() const { return encr_->block_size; }

  // `esp` is SPI, sequence number, room for the IV, `length` octets of plaintext, room for the ICV.
  bool Seal(uint8_t* esp, size_t length, uint64_t sequence);
  // `esp` is a whole packet with `length` octets of ciphertext. False when it is not authentic.
  bool Open(uint8_t* esp, size_t length, uint32_t sequence_high);

 private:
  EspContext() = default;
  bool Prepare(const SlotKeys& keys);
  size_t Aad(const uint8_t* esp, uint32_t sequence_high, uint8_t* aad) const;
  bool SealAead(uint8_t* esp, size_t length, uint32_t sequence_high);
  bool OpenAead(uint8_t* esp, size_t length, uint32_t sequence_high);
  bool MakeCbcIv(uint64_t sequence, uint8_t* iv);
  bool CryptCbc(uint8_t* iv, uint8_t* data, size_t length);
  bool Mac(const uint8_t* data, size_t length, uint32_t sequence_high, uint8_t* full);

  uint32_t version_ = 0;
  uint32_t direction_ = 0;
  bool esn_ = false;
  const EncrTransform* encr_ = nullptr;
  const IntegTransform* integ_ = nullptr;
  size_t icv_length_ = 0;
  uint8_t salt_[4] = {};
  CipherContext cipher_;
  CipherContext iv_cipher_;
  MacContext mac_;
};

}  // namespace tungate

#endif
