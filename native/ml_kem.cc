// The names and numbers of algorithms are those of FIPS 203. No branch, no index and no division depends on a secret: numbers
// modulo q are brought below q by masks.
#include "ml_kem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cstring>
#include <memory>
#include <type_traits>

namespace tungate {

namespace {

constexpr uint32_t kQ = 3329;
constexpr size_t kN = 256;
constexpr size_t kHashOctets = 32;
constexpr size_t kEta2 = 2;
constexpr size_t kEtaMax = 3;
constexpr size_t kPolynomialOctets = 384;
// What SHAKE128 gives at a time; of four blocks' 448 numbers of twelve bits nearly always more than 256 are below q.
constexpr size_t kRateOctets = 168;
constexpr size_t kSampleBlocks = 4;
constexpr size_t kSampleBlocksMax = 16;

struct Polynomial {
  uint16_t at[kN];
};
struct Vector {
  Polynomial at[kMlKemRankMax];
};

// Octets of this kind leave nothing behind.
template <typename T>
struct Secret : T {
  static_assert(std::is_trivially_copyable_v<T>);
  ~Secret() { OPENSSL_cleanse(static_cast<T*>(this), sizeof(T)); }
};
template <size_t kOctets>
struct Block {
  uint8_t data[kOctets];
};

// All ones when `value` has its top bit, in a way that no compiler makes a jump of.
uint32_t MaskOfTop(uint32_t value) {
  uint32_t mask = 0 - (value >> 31);
  __asm__("" : "+r"(mask));
  return mask;
}

// Of less than 2q.
uint16_t Once(uint32_t value) {
  value -= kQ;
  return static_cast<uint16_t>(value + (kQ & MaskOfTop(value)));
}

// The quotient by q, of less than 2^26: what the multiplication gives is right or one too small.
uint32_t Quotient(uint32_t value) {
  constexpr uint64_t kInverse = (uint64_t{1} << 32) / kQ;
  const auto quotient = static_cast<uint32_t>((value * kInverse) >> 32);
  return quotient + 1 + MaskOfTop(value - quotient * kQ - kQ);
}

uint16_t Add(uint32_t a, uint32_t b) { return Once(a + b); }
uint16_t Subtract(uint32_t a, uint32_t b) { return Once(a + kQ - b); }
uint16_t Modulo(uint32_t value) { return static_cast<uint16_t>(value - Quotient(value) * kQ); }
uint16_t Multiply(uint32_t a, uint32_t b) { return Modulo(a * b); }

void AddTo(Polynomial& sum, const Polynomial& other) {
  for (size_t i = 0; i < kN; i++) sum.at[i] = Add(sum.at[i], other.at[i]);
}

// Appendix A: powers of 17, the exponents being numbers of seven bits read backwards.
struct Powers {
  uint16_t zeta[kN / 2];
  uint16_t gamma[kN / 2];
};
constexpr Powers MakePowers() {
  Powers powers{};
  for (uint32_t i = 0; i < kN / 2; i++) {
    uint32_t backwards = 0;
    for (uint32_t bit = 0; bit < 7; bit++) backwards |= ((i >> bit) & 1) << (6 - bit);
    uint32_t power = 1;
    for (uint32_t n = 0; n < backwards; n++) power = power * 17 % kQ;
    powers.zeta[i] = static_cast<uint16_t>(power);
    powers.gamma[i] = static_cast<uint16_t>(power * power % kQ * 17 % kQ);
  }
  return powers;
}
constexpr Powers kPowers = MakePowers();

// Algorithm 9.
void Ntt(Polynomial& f) {
  size_t i = 1;
  for (size_t length = kN / 2; length >= 2; length /= 2)
    for (size_t start = 0; start < kN; start += 2 * length, i++)
      for (size_t j = start; j < start + length; j++) {
        const uint16_t t = Multiply(kPowers.zeta[i], f.at[j + length]);
        f.at[j + length] = Subtract(f.at[j], t);
        f.at[j] = Add(f.at[j], t);
      }
}

// Algorithm 10.
void InverseNtt(Polynomial& f) {
  constexpr uint16_t kInverseOf128 = 3303;
  size_t i = kN / 2 - 1;
  for (size_t length = 2; length <= kN / 2; length *= 2)
    for (size_t start = 0; start < kN; start += 2 * length, i--)
      for (size_t j = start; j < start + length; j++) {
        const uint16_t t = f.at[j];
        f.at[j] = Add(t, f.at[j + length]);
        f.at[j + length] = Multiply(kPowers.zeta[i], Subtract(f.at[j + length], t));
      }
  for (uint16_t& coefficient : f.at) coefficient = Multiply(coefficient, kInverseOf128);
}

// Algorithms 11 and 12, and the product is added to `sum`.
void AddProduct(Polynomial& sum, const Polynomial& f, const Polynomial& g) {
  for (size_t i = 0; i < kN / 2; i++) {
    const uint32_t f0 = f.at[2 * i], f1 = f.at[2 * i + 1], g0 = g.at[2 * i], g1 = g.at[2 * i + 1];
    sum.at[2 * i] = Add(sum.at[2 * i], Modulo(f0 * g0 + uint32_t{Multiply(f1, g1)} * kPowers.gamma[i]));
    sum.at[2 * i + 1] = Add(sum.at[2 * i + 1], Modulo(f0 * g1 + f1 * g0));
  }
}

// Algorithm 5.
void Encode(const Polynomial& f, size_t bits, uint8_t* into) {
  uint32_t held = 0;
  size_t count = 0;
  for (const uint16_t coefficient : f.at) {
    held |= uint32_t{coefficient} << count;
    for (count += bits; count >= 8; count -= 8, held >>= 8) *into++ = static_cast<uint8_t>(held);
  }
}

// Algorithm 6, but for the modulus.
void Decode(const uint8_t* from, size_t bits, Polynomial& f) {
  uint32_t held = 0;
  size_t count = 0;
  for (uint16_t& coefficient : f.at) {
    for (; count < bits; count += 8) held |= uint32_t{*from++} << count;
    coefficient = static_cast<uint16_t>(held & ((1u << bits) - 1));
    held >>= bits;
    count -= bits;
  }
}

// Section 4.2.1.
void Compress(Polynomial& f, size_t bits) {
  for (uint16_t& coefficient : f.at)
    coefficient = static_cast<uint16_t>(Quotient((uint32_t{coefficient} << bits) + kQ / 2) & ((1u << bits) - 1));
}
void Decompress(Polynomial& f, size_t bits) {
  for (uint16_t& coefficient : f.at)
    coefficient = static_cast<uint16_t>((coefficient * kQ + (1u << (bits - 1))) >> bits);
}

// SHA-3, one computation after the other; once OpenSSL has refused one, nothing that follows means anything.
class Hashes {
 public:
  Hashes() : context_(EVP_MD_CTX_new()) {}

  bool ok() const { return ok_; }

  // `suffix` is hashed behind the octets.
  void Make(const EVP_MD* hash, const uint8_t* octets, size_t length, const uint8_t* suffix, size_t suffix_length,
            uint8_t* into, size_t into_length) {
    ok_ = ok_ && context_ != nullptr && hash != nullptr &&
          EVP_DigestInit_ex2(context_.get(), hash, nullptr) == 1 &&
          EVP_DigestUpdate(context_.get(), octets, length) == 1 &&
          EVP_DigestUpdate(context_.get(), suffix, suffix_length) == 1 &&
          ((EVP_MD_get_flags(hash) & EVP_MD_FLAG_XOF) != 0 ? EVP_DigestFinalXOF(context_.get(), into, into_length)
                                                           : EVP_DigestFinal_ex(context_.get(), into, nullptr)) == 1;
    if (!ok_) std::memset(into, 0, into_length);
  }

  // Section 4.1: H, G with what is hashed in two pieces, and J.
  void H(const uint8_t* octets, size_t length, uint8_t* into) {
    static EVP_MD* const hash = EVP_MD_fetch(nullptr, "SHA3-256", nullptr);
    Make(hash, octets, length, octets, 0, into, kHashOctets);
  }
  void G(const uint8_t* octets, const uint8_t* suffix, size_t suffix_length, Secret<Block<64>>& into) {
    static EVP_MD* const hash = EVP_MD_fetch(nullptr, "SHA3-512", nullptr);
    Make(hash, octets, kHashOctets, suffix, suffix_length, into.data, sizeof into.data);
  }
  void J(const uint8_t* z, const uint8_t* ciphertext, size_t length, uint8_t* into) {
    Make(Shake256(), z, kHashOctets, ciphertext, length, into, kHashOctets);
  }

  // Algorithm 8 over PRF_eta.
  void SampleNoise(const uint8_t* seed, uint8_t number, size_t eta, Polynomial& f) {
    Secret<Block<64 * kEtaMax>> octets;
    Make(Shake256(), seed, kHashOctets, &number, 1, octets.data, 64 * eta);
    size_t bit = 0;
    const auto sum = [&] {
      uint32_t bits = 0;
      for (size_t i = 0; i < eta; i++, bit++) bits += (octets.data[bit / 8] >> (bit % 8)) & 1u;
      return bits;
    };
    for (uint16_t& coefficient : f.at) {
      const uint32_t x = sum();
      coefficient = Subtract(x, sum());
    }
  }

  // Algorithm 7: an element of the matrix, which is public.
  void SampleNtt(const uint8_t* seed, size_t column, size_t row, Polynomial& f) {
    static EVP_MD* const shake = EVP_MD_fetch(nullptr, "SHAKE128", nullptr);
    const uint8_t place[] = {static_cast<uint8_t>(column), static_cast<uint8_t>(row)};
    uint8_t octets[kSampleBlocksMax * kRateOctets];
    // OpenSSL 3.0 squeezes once: in the rare case that it is too little more is asked for from the beginning.
    for (size_t blocks = kSampleBlocks; blocks <= kSampleBlocksMax && ok_; blocks *= 2) {
      Make(shake, seed, kHashOctets, place, sizeof place, octets, blocks * kRateOctets);
      size_t taken = 0;
      for (size_t i = 0; i < blocks * kRateOctets && taken < kN; i += 3) {
        const uint32_t first = octets[i] | (octets[i + 1] & 0x0fu) << 8;
        const uint32_t second = octets[i + 1] >> 4 | uint32_t{octets[i + 2]} << 4;
        if (first < kQ) f.at[taken++] = static_cast<uint16_t>(first);
        if (second < kQ && taken < kN) f.at[taken++] = static_cast<uint16_t>(second);
      }
      if (taken == kN) return;
    }
    ok_ = false;
    f = {};
  }

 private:
  struct Delete {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };

  static const EVP_MD* Shake256() {
    static EVP_MD* const shake = EVP_MD_fetch(nullptr, "SHAKE256", nullptr);
    return shake;
  }

  std::unique_ptr<EVP_MD_CTX, Delete> context_;
  bool ok_ = true;
};

// Algorithm 14. False when a coefficient of the key is not below q, which is no secret.
bool Encrypt(Hashes& hashes, const MlKemSet& set, const uint8_t* key, const uint8_t* message, const uint8_t* randomness,
             uint8_t* ciphertext) {
  const uint8_t* seed = key + kPolynomialOctets * set.rank;
  Secret<Vector> y;
  Secret<Polynomial> v{}, u, noise;
  Polynomial element;
  uint8_t number = 0;
  for (size_t i = 0; i < set.rank; i++) {
    hashes.SampleNoise(randomness, number++, set.eta1, y.at[i]);
    Ntt(y.at[i]);
  }
  for (size_t i = 0; i < set.rank; i++) {
    static_cast<Polynomial&>(u) = {};
    for (size_t j = 0; j < set.rank; j++) {
      hashes.SampleNtt(seed, i, j, element);
      AddProduct(u, element, y.at[j]);
    }
    InverseNtt(u);
    hashes.SampleNoise(randomness, number++, kEta2, noise);
    AddTo(u, noise);
    Compress(u, set.vector_bits);
    Encode(u, set.vector_bits, ciphertext + 32 * set.vector_bits * i);
  }
  for (size_t i = 0; i < set.rank; i++) {
    Decode(key + kPolynomialOctets * i, 12, element);
    for (const uint16_t coefficient : element.at)
      if (coefficient >= kQ) return false;
    AddProduct(v, element, y.at[i]);
  }
  InverseNtt(v);
  hashes.SampleNoise(randomness, number, kEta2, noise);
  AddTo(v, noise);
  Decode(message, 1, noise);
  Decompress(noise, 1);
  AddTo(v, noise);
  Compress(v, set.polynomial_bits);
  Encode(v, set.polynomial_bits, ciphertext + 32 * set.vector_bits * set.rank);
  return true;
}

// Algorithm 15.
void Decrypt(const MlKemSet& set, const uint8_t* key, const uint8_t* ciphertext, uint8_t* message) {
  Secret<Polynomial> w{}, s;
  Polynomial part;
  for (size_t i = 0; i < set.rank; i++) {
    Decode(ciphertext + 32 * set.vector_bits * i, set.vector_bits, part);
    Decompress(part, set.vector_bits);
    Ntt(part);
    Decode(key + kPolynomialOctets * i, 12, s);
    for (uint16_t& coefficient : s.at) coefficient = Once(coefficient);
    AddProduct(w, s, part);
  }
  InverseNtt(w);
  Decode(ciphertext + 32 * set.vector_bits * set.rank, set.polynomial_bits, part);
  Decompress(part, set.polynomial_bits);
  for (size_t i = 0; i < kN; i++) w.at[i] = Subtract(part.at[i], w.at[i]);
  Compress(w, 1);
  Encode(w, 1, message);
}

}  // namespace

// Algorithms 16 and 13.
MlKemResult MlKemKeyPair(const MlKemSet& set, const uint8_t* seed, uint8_t* encapsulation_key,
                         uint8_t* decapsulation_key) {
  Hashes hashes;
  const auto rank = static_cast<uint8_t>(set.rank);
  const size_t key_octets = set.EncapsulationKeyOctets();
  Secret<Block<64>> seeds;
  hashes.G(seed, &rank, 1, seeds);
  const uint8_t* rho = seeds.data;
  const uint8_t* sigma = seeds.data + kHashOctets;
  Secret<Vector> s;
  Secret<Polynomial> t;
  Polynomial element;
  for (size_t i = 0; i < rank; i++) {
    hashes.SampleNoise(sigma, static_cast<uint8_t>(i), set.eta1, s.at[i]);
    Ntt(s.at[i]);
    Encode(s.at[i], 12, decapsulation_key + kPolynomialOctets * i);
  }
  for (size_t i = 0; i < rank; i++) {
    hashes.SampleNoise(sigma, static_cast<uint8_t>(rank + i), set.eta1, t);
    Ntt(t);
    for (size_t j = 0; j < rank; j++) {
      hashes.SampleNtt(rho, j, i, element);
      AddProduct(t, element, s.at[j]);
    }
    Encode(t, 12, encapsulation_key + kPolynomialOctets * i);
  }
  std::memcpy(encapsulation_key + kPolynomialOctets * rank, rho, kHashOctets);
  uint8_t* rest = decapsulation_key + kPolynomialOctets * rank;
  std::memcpy(rest, encapsulation_key, key_octets);
  hashes.H(encapsulation_key, key_octets, rest + key_octets);
  std::memcpy(rest + key_octets + kHashOctets, seed + kHashOctets, kHashOctets);
  return hashes.ok() ? MlKemResult::kDone : MlKemResult::kFailed;
}

// Algorithms 20 and 17.
MlKemResult MlKemEncapsulate(const MlKemSet& set, const uint8_t* encapsulation_key, const uint8_t* message,
                             uint8_t* ciphertext, uint8_t* secret) {
  Hashes hashes;
  uint8_t digest[kHashOctets];
  hashes.H(encapsulation_key, set.EncapsulationKeyOctets(), digest);
  Secret<Block<64>> made;
  hashes.G(message, digest, sizeof digest, made);
  const bool is_key = Encrypt(hashes, set, encapsulation_key, message, made.data + kMlKemSecretOctets, ciphertext);
  if (!hashes.ok()) return MlKemResult::kFailed;
  if (!is_key) return MlKemResult::kRefused;
  std::memcpy(secret, made.data, kMlKemSecretOctets);
  return MlKemResult::kDone;
}

// Algorithm 18.
MlKemResult MlKemDecapsulate(const MlKemSet& set, const uint8_t* decapsulation_key, const uint8_t* ciphertext,
                             uint8_t* secret) {
  Hashes hashes;
  const size_t ciphertext_octets = set.CiphertextOctets();
  const uint8_t* encapsulation_key = decapsulation_key + kPolynomialOctets * set.rank;
  const uint8_t* digest = encapsulation_key + set.EncapsulationKeyOctets();
  const uint8_t* z = digest + kHashOctets;
  Secret<Block<kHashOctets>> message, rejected;
  Decrypt(set, decapsulation_key, ciphertext, message.data);
  Secret<Block<64>> made;
  hashes.G(message.data, digest, kHashOctets, made);
  hashes.J(z, ciphertext, ciphertext_octets, rejected.data);
  Secret<Block<kMlKemCiphertextMax>> again;
  if (!Encrypt(hashes, set, encapsulation_key, message.data, made.data + kMlKemSecretOctets, again.data) || !hashes.ok())
    return MlKemResult::kFailed;
  uint32_t difference = 0;
  for (size_t i = 0; i < ciphertext_octets; i++) difference |= uint32_t{again.data[i]} ^ ciphertext[i];
  // Ones where the ciphertext is the one that the message makes.
  const uint32_t is_same = MaskOfTop(difference - 1);
  for (size_t i = 0; i < kMlKemSecretOctets; i++)
    secret[i] = static_cast<uint8_t>((made.data[i] & is_same) | (rejected.data[i] & ~is_same));
  return MlKemResult::kDone;
}

}  // namespace tungate
