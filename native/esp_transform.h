// The transforms that the engine knows, by IANA number, and their lengths in octets (RFC 7296 section 3.3.2).
#ifndef TUNGATE_ESP_TRANSFORM_H
#define TUNGATE_ESP_TRANSFORM_H

#include <cstddef>
#include <cstdint>

namespace tungate {

constexpr uint32_t kEncrDes3 = 3;
constexpr uint32_t kEncrNull = 11;
constexpr uint32_t kEncrAesCbc = 12;
constexpr uint32_t kEncrAesCtr = 13;
constexpr uint32_t kEncrAesCcm8 = 14;
constexpr uint32_t kEncrAesCcm12 = 15;
constexpr uint32_t kEncrAesCcm16 = 16;
constexpr uint32_t kEncrAesGcm8 = 18;
constexpr uint32_t kEncrAesGcm12 = 19;
constexpr uint32_t kEncrAesGcm16 = 20;
constexpr uint32_t kEncrNullAuthAesGmac = 21;
constexpr uint32_t kEncrChaCha20Poly1305 = 28;
constexpr uint32_t kEncrAesCcm8Iiv = 29;
constexpr uint32_t kEncrAesGcm16Iiv = 30;
constexpr uint32_t kEncrChaCha20Poly1305Iiv = 31;

constexpr uint32_t kIntegNone = 0;
constexpr uint32_t kIntegHmacSha1_96 = 2;
constexpr uint32_t kIntegAesXcbc96 = 5;
constexpr uint32_t kIntegAesCmac96 = 8;
constexpr uint32_t kIntegAes128Gmac = 9;
constexpr uint32_t kIntegAes192Gmac = 10;
constexpr uint32_t kIntegAes256Gmac = 11;
constexpr uint32_t kIntegHmacSha2_256_128 = 12;
constexpr uint32_t kIntegHmacSha2_384_192 = 13;
constexpr uint32_t kIntegHmacSha2_512_256 = 14;

constexpr size_t kEncrKeyMax = 36;
constexpr size_t kIntegKeyMax = 64;
constexpr size_t kIcvMax = 32;
constexpr size_t kIvMax = 16;

enum class CipherMode : uint8_t { kNull, kAesCbc, kAesCtr, kDes3Cbc, kAesGcm, kAesCcm, kAesGmac, kChaCha20Poly1305 };
enum class MacMode : uint8_t { kSha1, kSha256, kSha384, kSha512, kAesXcbc, kAesCmac, kAesGmac };

struct EncrTransform {
  uint32_t id;
  CipherMode mode;
  uint32_t key_bits;
  size_t key_length;
  size_t salt_length;
  // On the wire; 0 beside a salt: the IV is implicit (RFC 8750).
  size_t iv_length;
  // The combined mode's own; 0 needs an integrity transform.
  size_t icv_length;
  // What the cipher needs; ESP aligns to 4 besides.
  size_t block_size;

  bool has_implicit_iv() const { return iv_length == 0 && salt_length != 0; }
};

struct IntegTransform {
  uint32_t id;
  MacMode mode;
  // Of GMAC with 4 octets of salt behind the key.
  size_t key_length;
  // On the wire; GMAC's begins with its IV.
  size_t icv_length;
  size_t iv_length;
};

// Null when the transform or the key length is not known here.
const EncrTransform* FindEncr(uint32_t id, uint32_t key_bits);
const IntegTransform* FindInteg(uint32_t id);

}  // namespace tungate

#endif
