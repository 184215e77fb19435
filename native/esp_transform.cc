// The table of transforms: RFC 2410, RFC 3602, RFC 4106, RFC 7634 and RFC 4868.
#include "esp_transform.h"

namespace tungate {

namespace {

constexpr EncrTransform kEncrTransforms[] = {
    {kEncrNull, 0, 0, 0, 0, 0, 1, nullptr},
    {kEncrAesCbc, 128, 16, 0, 16, 0, 16, "AES-128-CBC"},
    {kEncrAesCbc, 192, 24, 0, 16, 0, 16, "AES-192-CBC"},
    {kEncrAesCbc, 256, 32, 0, 16, 0, 16, "AES-256-CBC"},
    {kEncrAesGcm16, 128, 16, 4, 8, 16, 1, "AES-128-GCM"},
    {kEncrAesGcm16, 192, 24, 4, 8, 16, 1, "AES-192-GCM"},
    {kEncrAesGcm16, 256, 32, 4, 8, 16, 1, "AES-256-GCM"},
    {kEncrChaCha20Poly1305, 0, 32, 4, 8, 16, 1, "ChaCha20-Poly1305"},
};

constexpr IntegTransform kIntegTransforms[] = {
    {kIntegHmacSha2_256_128, 32, 16, "SHA256"},
    {kIntegHmacSha2_384_192, 48, 24, "SHA384"},
    {kIntegHmacSha2_512_256, 64, 32, "SHA512"},
};

}  // namespace

const EncrTransform* FindEncr(uint32_t id, uint32_t key_bits) {
  for (const EncrTransform& transform : kEncrTransforms)
    if (transform.id == id && transform.key_bits == key_bits) return &transform;
  return nullptr;
}

const IntegTransform* FindInteg(uint32_t id) {
  for (const IntegTransform& transform : kIntegTransforms)
    if (transform.id == id) return &transform;
  return nullptr;
}

}  // namespace tungate
