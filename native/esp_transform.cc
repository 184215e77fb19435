// The table of transforms: RFC 2410, 2451, 3602, 3686, 4106, 4309, 4543, 7634, 8750; RFC 2404, 3566, 4494, 4543, 4868.
#include "esp_transform.h"

namespace tungate {

namespace {

using enum CipherMode;

// An AES mode with a key of each length.
#define AES(id, mode, salt, iv, icv, block)                                                      \
  {id, mode, 128, 16, salt, iv, icv, block}, {id, mode, 192, 24, salt, iv, icv, block}, {        \
    id, mode, 256, 32, salt, iv, icv, block                                                      \
  }

constexpr EncrTransform kEncrTransforms[] = {
    {kEncrNull, kNull, 0, 0, 0, 0, 0, 1},
    {kEncrDes3, kDes3Cbc, 0, 24, 0, 8, 0, 8},
    AES(kEncrAesCbc, kAesCbc, 0, 16, 0, 16),
    AES(kEncrAesCtr, kAesCtr, 4, 8, 0, 1),
    AES(kEncrAesGcm16, kAesGcm, 4, 8, 16, 1),
    AES(kEncrAesGcm12, kAesGcm, 4, 8, 12, 1),
    AES(kEncrAesGcm8, kAesGcm, 4, 8, 8, 1),
    AES(kEncrAesGcm16Iiv, kAesGcm, 4, 0, 16, 1),
    AES(kEncrAesCcm16, kAesCcm, 3, 8, 16, 1),
    AES(kEncrAesCcm12, kAesCcm, 3, 8, 12, 1),
    AES(kEncrAesCcm8, kAesCcm, 3, 8, 8, 1),
    AES(kEncrAesCcm8Iiv, kAesCcm, 3, 0, 8, 1),
    AES(kEncrNullAuthAesGmac, kAesGmac, 4, 8, 16, 1),
    {kEncrChaCha20Poly1305, kChaCha20Poly1305, 0, 32, 4, 8, 16, 1},
    {kEncrChaCha20Poly1305Iiv, kChaCha20Poly1305, 0, 32, 4, 0, 16, 1},
};

#undef AES

constexpr IntegTransform kIntegTransforms[] = {
    {kIntegHmacSha1_96, MacMode::kSha1, 20, 12, 0},
    {kIntegAesXcbc96, MacMode::kAesXcbc, 16, 12, 0},
    {kIntegAesCmac96, MacMode::kAesCmac, 16, 12, 0},
    {kIntegAes128Gmac, MacMode::kAesGmac, 20, 24, 8},
    {kIntegAes192Gmac, MacMode::kAesGmac, 28, 24, 8},
    {kIntegAes256Gmac, MacMode::kAesGmac, 36, 24, 8},
    {kIntegHmacSha2_256_128, MacMode::kSha256, 32, 16, 0},
    {kIntegHmacSha2_384_192, MacMode::kSha384, 48, 24, 0},
    {kIntegHmacSha2_512_256, MacMode::kSha512, 64, 32, 0},
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
