// AES-XCBC-MAC (RFC 3566 section 4) and AES-CMAC (RFC 4493 section 2.4) over OpenSSL's AES-CBC, in pieces.
#ifndef TUNGATE_AES_MAC_H
#define TUNGATE_AES_MAC_H

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "esp_transform.h"
#include "openssl_context.h"

namespace tungate {

class AesMac {
 public:
  static constexpr size_t kBlock = 16;

  AesMac() = default;
  AesMac(const AesMac&) = delete;
  AesMac& operator=(const AesMac&) = delete;
  ~AesMac();

  // False when OpenSSL refuses. `key` has 16 octets.
  bool Prepare(MacMode mode, const uint8_t* key);

  bool Begin();
  bool Update(const uint8_t* data, size_t length);
  // Writes 16 octets.
  bool Final(uint8_t* mac);

 private:
  bool Chain(const uint8_t* blocks, size_t length);

  CipherContext cipher_;
  // Mixed into a last block that the message fills, and into one that it does not.
  uint8_t whole_[kBlock] = {};
  uint8_t partial_[kBlock] = {};
  // What came last and may yet be the last block.
  uint8_t pending_[kBlock] = {};
  size_t pending_length_ = 0;
};

}  // namespace tungate

#endif
