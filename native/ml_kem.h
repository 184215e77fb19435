// ML-KEM (FIPS 203), which OpenSSL has from 3.5 on: in constant time, and in a tenth of a millisecond at the first call.
#ifndef TUNGATE_ML_KEM_H
#define TUNGATE_ML_KEM_H

#include <cstddef>
#include <cstdint>

namespace tungate {

// One of the parameter sets (FIPS 203 section 8, table 2).
struct MlKemSet {
  size_t rank;
  // Of the noise in keys and in the vector that hides a message; all other noise has 2.
  size_t eta1;
  // Bits that are left of the coefficients of a ciphertext's vector, and of its polynomial.
  size_t vector_bits;
  size_t polynomial_bits;

  constexpr size_t EncapsulationKeyOctets() const { return 384 * rank + 32; }
  constexpr size_t DecapsulationKeyOctets() const { return 768 * rank + 96; }
  constexpr size_t CiphertextOctets() const { return 32 * (vector_bits * rank + polynomial_bits); }
};

inline constexpr MlKemSet kMlKemSets[] = {{2, 3, 10, 4}, {3, 2, 10, 4}, {4, 2, 11, 5}};
inline constexpr size_t kMlKemRankMax = 4;
inline constexpr size_t kMlKemCiphertextMax = kMlKemSets[2].CiphertextOctets();
inline constexpr size_t kMlKemSeedOctets = 64;
inline constexpr size_t kMlKemSecretOctets = 32;

enum class MlKemResult { kDone, kRefused, kFailed };

// `seed` is d | z. Each has the lengths of the set. kFailed: OpenSSL has no SHA-3 or no memory; nothing of use was written.
MlKemResult MlKemKeyPair(const MlKemSet& set, const uint8_t* seed, uint8_t* encapsulation_key,
                         uint8_t* decapsulation_key);
// `message` is 32 random octets. kRefused: a coefficient of the key is not below the modulus.
MlKemResult MlKemEncapsulate(const MlKemSet& set, const uint8_t* encapsulation_key, const uint8_t* message,
                             uint8_t* ciphertext, uint8_t* secret);
// A ciphertext that was not made for the key gives a secret that nobody else has.
MlKemResult MlKemDecapsulate(const MlKemSet& set, const uint8_t* decapsulation_key, const uint8_t* ciphertext,
                             uint8_t* secret);

}  // namespace tungate

#endif
