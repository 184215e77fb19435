// The transforms that the engine knows, by IANA number, and their lengths in octets (RFC 7296 section 3.3.2).
#ifndef TUNGATE_ESP_TRANSFORM_H
#define TUNGATE_ESP_TRANSFORM_H

#include <cstddef>
#include <cstdint>

namespace tungate {

constexpr uint32_t kEncrNull = 11;
constexpr uint32_t kEncrAesCbc = 12;
constexpr uint32_t kEncrAesGcm16 = 20;
constexpr uint32_t kEncrChaCha20Poly1305 = 28;

constexpr uint32_t kIntegNone = 0;
constexpr uint32_t kIntegHmacSha2_256_128 = 12;
constexpr uint32_t kIntegHmacSha2_384_192 = 13;
constexpr uint32_t kIntegHmacSha2_512_256 = 14;

constexpr size_t kEncrKeyMax = 36;
constexpr size_t kIntegKeyMax = 64;
constexpr size_t kIcvMax = 32;
constexpr size_t kIvMax = 16;

struct EncrTransform {
  uint32_t id;
  uint32_t key_bits;
  size_t key_length;
  size_t salt_length;
  size_t iv_length;
  // The combined mode's own; 0 needs an integrity transform.
  size_t icv_length;
  // What the cipher needs; ESP aligns to 4 besides.
  size_t block_size;
  // OpenSSL's name; null for no cipher.
  const char* cipher;
};

struct IntegTransform {
  uint32_t id;
  size_t key_length;
  size_t icv_length;
  const char* digest;
};

// Null when the transform or the key length is not known here.
const EncrTransform* FindEncr(uint32_t id, uint32_t key_bits);
const IntegTransform* FindInteg(uint32_t id);

}  // namespace tungate

#endif
