// AES-GCM (NIST SP 800-38D) on processors that do AES and carry-less products on two blocks at once (VAES, VPCLMULQDQ).
#ifndef TUNGATE_VAES_GCM_H
#define TUNGATE_VAES_GCM_H

#include <cstddef>
#include <cstdint>

namespace tungate {

// One key. Time depends on lengths alone.
class VaesGcm {
 public:
  static constexpr size_t kNonce = 12;
  static constexpr size_t kTag = 16;
  static constexpr size_t kAadMax = 16;

  // Whether this processor, and the system on it, can do it.
  static bool IsSupported();

  // `octets` is 16, 24 or 32.
  VaesGcm(const uint8_t* key, size_t octets);
  VaesGcm(const VaesGcm&) = delete;
  VaesGcm& operator=(const VaesGcm&) = delete;
  ~VaesGcm();

  // `from` and `to` are the same or do not overlap; `aad_length` is at most kAadMax. Writes kTag octets to `tag`.
  void Seal(const uint8_t* nonce, const uint8_t* aad, size_t aad_length, const uint8_t* from, size_t length, uint8_t* to,
            uint8_t* tag) const;
  // As Seal, from ciphertext: the caller compares the tag.
  void Open(const uint8_t* nonce, const uint8_t* aad, size_t aad_length, const uint8_t* from, size_t length, uint8_t* to,
            uint8_t* tag) const;

 private:
  static constexpr size_t kBlock = 16;
  static constexpr size_t kRoundKeysMax = 15;
  // Blocks that are handled together.
  static constexpr size_t kStride = 16;
  // The block of lengths follows them.
  static constexpr size_t kPowers = kStride + 1;

  void Prepare(const uint8_t* key, size_t octets);
  template <bool kSeals, int kRounds>
  void Crypt(const uint8_t* nonce, const uint8_t* aad, size_t aad_length, const uint8_t* from, size_t length, uint8_t* to,
             uint8_t* tag) const;

  // Each round key twice, so that it serves two blocks.
  alignas(32) uint8_t rounds_[kRoundKeysMax][2 * kBlock];
  // The hash key's powers, the highest first, and both halves of each added, as Karatsuba's products want them.
  alignas(32) uint8_t powers_[kPowers][kBlock];
  alignas(32) uint8_t halves_[kPowers][kBlock];
  size_t round_count_;
};

}  // namespace tungate

#endif
