// Implements AES-GCM. The hash is computed as POLYVAL is (RFC 8452 appendix A): octets of blocks reversed, key times x.
#include "vaes_gcm.h"

#include <openssl/crypto.h>

#include <cstring>

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define TUNGATE_VAES __attribute__((target("avx2,aes,pclmul,vaes,vpclmulqdq")))
#define TUNGATE_VAES_INLINE TUNGATE_VAES __attribute__((always_inline)) inline

namespace tungate {

namespace {

// Bits of CPUID leaf 1 (ECX), leaf 7 (EBX and ECX), and of XCR0.
constexpr uint32_t kLeaf1 = (1u << 1) | (1u << 25) | (1u << 27) | (1u << 28);
constexpr uint32_t kAvx2 = 1u << 5;
constexpr uint32_t kVaesAndVpclmulqdq = (1u << 9) | (1u << 10);
constexpr uint32_t kWideState = 6;

TUNGATE_VAES_INLINE __m128i Reversed(__m128i block) {
  return _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

TUNGATE_VAES_INLINE __m256i Reversed(__m256i blocks) {
  return _mm256_shuffle_epi8(
      blocks, _mm256_broadcastsi128_si256(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

TUNGATE_VAES_INLINE __m128i Load(const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
TUNGATE_VAES_INLINE __m256i Load2(const uint8_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
TUNGATE_VAES_INLINE void Store(uint8_t* at, __m128i block) { _mm_storeu_si128(reinterpret_cast<__m128i*>(at), block); }
TUNGATE_VAES_INLINE void Store2(uint8_t* at, __m256i blocks) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), blocks);
}

// A sum of products that is not reduced yet, by Karatsuba: low and high halves, and the product of the sums of both.
struct Products {
  __m128i low, high, middle;

  TUNGATE_VAES_INLINE void Add(__m128i block, __m128i power, __m128i power_halves) {
    low = _mm_xor_si128(low, _mm_clmulepi64_si128(block, power, 0x00));
    high = _mm_xor_si128(high, _mm_clmulepi64_si128(block, power, 0x11));
    const __m128i halves = _mm_xor_si128(block, _mm_shuffle_epi32(block, 0x4e));
    middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(halves, power_halves, 0x00));
  }

  // Modulo the polynomial, times x to the power of -128.
  TUNGATE_VAES_INLINE __m128i Reduced() const {
    const __m128i polynomial = _mm_set_epi64x(static_cast<int64_t>(0xc200000000000000), 1);
    const __m128i inner = _mm_xor_si128(middle, _mm_xor_si128(low, high));
    __m128i lower = _mm_xor_si128(low, _mm_slli_si128(inner, 8));
    const __m128i upper = _mm_xor_si128(high, _mm_srli_si128(inner, 8));
    for (int half = 0; half < 2; half++)
      lower = _mm_xor_si128(_mm_clmulepi64_si128(lower, polynomial, 0x10), _mm_shuffle_epi32(lower, 0x4e));
    return _mm_xor_si128(upper, lower);
  }
};

// Of two blocks at once.
struct WideProducts {
  __m256i low, high, middle;

  TUNGATE_VAES_INLINE static WideProducts None() {
    return {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
  }

  TUNGATE_VAES_INLINE void Add(__m256i blocks, __m256i powers, __m256i power_halves) {
    low = _mm256_xor_si256(low, _mm256_clmulepi64_epi128(blocks, powers, 0x00));
    high = _mm256_xor_si256(high, _mm256_clmulepi64_epi128(blocks, powers, 0x11));
    const __m256i halves = _mm256_xor_si256(blocks, _mm256_shuffle_epi32(blocks, 0x4e));
    middle = _mm256_xor_si256(middle, _mm256_clmulepi64_epi128(halves, power_halves, 0x00));
    // Compilers would add products in pairs, for which there are too few registers.
    __asm__("" : "+x"(low), "+x"(high), "+x"(middle));
  }

  TUNGATE_VAES_INLINE Products Folded() const {
    return {_mm_xor_si128(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)),
            _mm_xor_si128(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)),
            _mm_xor_si128(_mm256_castsi256_si128(middle), _mm256_extracti128_si256(middle, 1))};
  }
};

TUNGATE_VAES_INLINE __m128i Halves(__m128i value) { return _mm_xor_si128(value, _mm_shuffle_epi32(value, 0x4e)); }

TUNGATE_VAES_INLINE __m128i Product(__m128i a, __m128i b) {
  Products products = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
  products.Add(a, b, Halves(b));
  return products.Reduced();
}

// Two blocks to hash; the hash so far goes into the first of all.
TUNGATE_VAES_INLINE __m256i HashInput(__m256i blocks, __m128i hash) {
  return _mm256_xor_si256(Reversed(blocks), _mm256_zextsi128_si256(hash));
}

// AES's table of substitutions for the four octets of a word, in constant time.
TUNGATE_VAES_INLINE uint32_t Substituted(uint32_t word) {
  return static_cast<uint32_t>(
      _mm_cvtsi128_si32(_mm_aeskeygenassist_si128(_mm_set1_epi32(static_cast<int>(word)), 0)));
}

// FIPS 197 section 5.2, words in the processor's order.
TUNGATE_VAES void ExpandKey(const uint8_t* key, size_t octets, uint32_t* words, size_t count) {
  const size_t length = octets / 4;
  memcpy(words, key, octets);
  uint32_t constant = 1;
  for (size_t i = length; i < count; i++) {
    uint32_t word = words[i - 1];
    if (i % length == 0) {
      word = Substituted(word);
      word = (word >> 8 | word << 24) ^ constant;
      constant = constant << 1 ^ (constant >> 7) * 0x11b;
    } else if (length > 6 && i % length == 4) {
      word = Substituted(word);
    }
    words[i] = words[i - length] ^ word;
  }
}

TUNGATE_VAES_INLINE __m128i EncryptOne(const uint8_t (*rounds)[32], size_t last, __m128i block) {
  block = _mm_xor_si128(block, Load(rounds[0]));
  for (size_t round = 1; round < last; round++) block = _mm_aesenc_si128(block, Load(rounds[round]));
  return _mm_aesenclast_si128(block, Load(rounds[last]));
}

// The next counter blocks in `count` registers, with the first round key; counters stand in the processor's order.
template <int count>
TUNGATE_VAES_INLINE void BeginStream(const uint8_t (*rounds)[32], __m256i* counters, __m256i (&stream)[count]) {
  const __m256i two = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2);
  const __m256i first = Load2(rounds[0]);
#pragma GCC unroll 8
  for (int i = 0; i < count; i++) {
    stream[i] = _mm256_xor_si256(Reversed(*counters), first);
    *counters = _mm256_add_epi32(*counters, two);
  }
}

template <int count>
TUNGATE_VAES_INLINE void OneRound(const uint8_t* round, __m256i (&stream)[count]) {
  const __m256i key = Load2(round);
#pragma GCC unroll 8
  for (int i = 0; i < count; i++) stream[i] = _mm256_aesenc_epi128(stream[i], key);
}

// Finishes the stream from round `next` on.
template <int next, int last, int count>
TUNGATE_VAES_INLINE void EndStream(const uint8_t (*rounds)[32], __m256i (&stream)[count]) {
#pragma GCC unroll 14
  for (int round = next; round < last; round++) OneRound(rounds[round], stream);
  const __m256i key = Load2(rounds[last]);
#pragma GCC unroll 8
  for (int i = 0; i < count; i++) stream[i] = _mm256_aesenclast_epi128(stream[i], key);
}

template <int count>
TUNGATE_VAES_INLINE void AddStream(const __m256i (&stream)[count], const uint8_t* from, uint8_t* to) {
#pragma GCC unroll 8
  for (int i = 0; i < count; i++) Store2(to + 32 * i, _mm256_xor_si256(stream[i], Load2(from + 32 * i)));
}

}  // namespace

bool VaesGcm::IsSupported() {
  uint32_t eax, ebx, ecx, edx;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kLeaf1) != kLeaf1) return false;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & kWideState) != kWideState) return false;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & kAvx2) != 0 &&
         (ecx & kVaesAndVpclmulqdq) == kVaesAndVpclmulqdq;
}

VaesGcm::VaesGcm(const uint8_t* key, size_t octets) : round_count_(octets / 4 + 6) { Prepare(key, octets); }

TUNGATE_VAES void VaesGcm::Prepare(const uint8_t* key, size_t octets) {
  uint32_t words[4 * kRoundKeysMax];
  ExpandKey(key, octets, words, 4 * (round_count_ + 1));
  for (size_t round = 0; round <= round_count_; round++)
    for (size_t copy = 0; copy < 2; copy++) memcpy(rounds_[round] + copy * kBlock, words + 4 * round, kBlock);
  OPENSSL_cleanse(words, sizeof words);

  // The hash key times x: shifted left by one, and what falls out comes back as the polynomial.
  const __m128i hash = Reversed(EncryptOne(rounds_, round_count_, _mm_setzero_si128()));
  const __m128i carries = _mm_srli_epi64(hash, 63);
  const __m128i shifted = _mm_or_si128(_mm_slli_epi64(hash, 1), _mm_slli_si128(carries, 8));
  const __m128i out = _mm_sub_epi64(_mm_setzero_si128(), _mm_shuffle_epi32(carries, 0xee));
  const __m128i polynomial = _mm_set_epi64x(static_cast<int64_t>(0xc200000000000000), 1);
  const __m128i first = _mm_xor_si128(shifted, _mm_and_si128(out, polynomial));
  __m128i power = first;
  for (size_t i = kPowers; i > 0; i--) {
    Store(powers_[i - 1], power);
    Store(halves_[i - 1], Halves(power));
    power = Product(power, first);
  }
}

VaesGcm::~VaesGcm() {
  OPENSSL_cleanse(rounds_, sizeof rounds_);
  OPENSSL_cleanse(powers_, sizeof powers_);
  OPENSSL_cleanse(halves_, sizeof halves_);
}

template <bool kSeals, int kRounds>
TUNGATE_VAES_INLINE void VaesGcm::Crypt(const uint8_t* nonce, const uint8_t* aad, size_t aad_length, const uint8_t* from,
                                        size_t length, uint8_t* to, uint8_t* tag) const {
  uint8_t block[kBlock] = {};
  memcpy(block, nonce, kNonce);
  block[15] = 1;
  const __m128i counter = Load(block);
  const __m128i mask = EncryptOne(rounds_, kRounds, counter);
  const __m256i firsts = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 1);
  __m256i counters = _mm256_add_epi32(_mm256_broadcastsi128_si256(Reversed(counter)), firsts);

  memset(block, 0, sizeof block);
  memcpy(block, aad, aad_length);
  __m128i hash = Product(Reversed(Load(block)), Load(powers_[kPowers - 1]));

  // While blocks are encrypted, those before them are hashed, for neither waits for the other. What is sealed is hashed
  // one turn later than it is made.
  size_t at = 0;
  if (length >= kStride * kBlock) {
    const uint8_t* hashed = from;
    if (kSeals) {
      __m256i stream[8];
      BeginStream(rounds_, &counters, stream);
      EndStream<1, kRounds>(rounds_, stream);
      AddStream(stream, from, to);
      hashed = to;
      at = kStride * kBlock;
    }
    for (; length - at >= kStride * kBlock; at += kStride * kBlock, hashed += kStride * kBlock) {
      __m256i stream[8];
      BeginStream(rounds_, &counters, stream);
      WideProducts sums = WideProducts::None();
#pragma GCC unroll 8
      for (int k = 0; k < 8; k++) {
        OneRound(rounds_[k + 1], stream);
        sums.Add(HashInput(Load2(hashed + 32 * k), k == 0 ? hash : _mm_setzero_si128()), Load2(powers_[2 * k + 1]),
                 Load2(halves_[2 * k + 1]));
      }
      OneRound(rounds_[9], stream);
      hash = sums.Folded().Reduced();
      EndStream<10, kRounds>(rounds_, stream);
      AddStream(stream, from + at, to + at);
    }
    if (kSeals) {
      WideProducts sums = WideProducts::None();
#pragma GCC unroll 8
      for (int k = 0; k < 8; k++)
        sums.Add(HashInput(Load2(hashed + 32 * k), k == 0 ? hash : _mm_setzero_si128()), Load2(powers_[2 * k + 1]),
                 Load2(halves_[2 * k + 1]));
      hash = sums.Folded().Reduced();
    }
  }

  // What is left, less than sixteen blocks, and the block of lengths.
  size_t left = length - at;
  size_t power = kStride - (left + kBlock - 1) / kBlock;
  WideProducts sums = WideProducts::None();
  if (left >= kStride * kBlock / 2) {
    __m256i stream[4];
    BeginStream(rounds_, &counters, stream);
    EndStream<1, kRounds>(rounds_, stream);
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
      const __m256i input = Load2(from + at + 32 * k);
      const __m256i output = _mm256_xor_si256(input, stream[k]);
      Store2(to + at + 32 * k, output);
      sums.Add(HashInput(kSeals ? output : input, k == 0 ? hash : _mm_setzero_si128()), Load2(powers_[power + 2 * k]),
               Load2(halves_[power + 2 * k]));
    }
    hash = _mm_setzero_si128();
    power += kStride / 2;
    at += kStride * kBlock / 2;
    left -= kStride * kBlock / 2;
  }
  if (left > 0) {
    alignas(32) uint8_t stream[kStride * kBlock / 2];
    __m256i registers[4];
    BeginStream(rounds_, &counters, registers);
    EndStream<1, kRounds>(rounds_, registers);
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) Store2(stream + 32 * k, registers[k]);
    const uint8_t* key = stream;
    for (; left >= 32; left -= 32, at += 32, key += 32, power += 2) {
      const __m256i input = Load2(from + at);
      const __m256i output = _mm256_xor_si256(input, Load2(key));
      Store2(to + at, output);
      sums.Add(HashInput(kSeals ? output : input, hash), Load2(powers_[power]), Load2(halves_[power]));
      hash = _mm_setzero_si128();
    }
    if (left > 0) {
      // A block that is not there is zero, so that it does not matter which power it meets.
      alignas(32) uint8_t last[32] = {};
      memcpy(last, from + at, left);
      const __m256i input = Load2(last);
      Store2(last, _mm256_xor_si256(input, Load2(key)));
      memcpy(to + at, last, left);
      memset(last + left, 0, sizeof last - left);
      sums.Add(HashInput(kSeals ? Load2(last) : input, hash), Load2(powers_[power]), Load2(halves_[power]));
      hash = _mm_setzero_si128();
      if (!kSeals) OPENSSL_cleanse(last, sizeof last);
    }
    OPENSSL_cleanse(stream, sizeof stream);
  }
  Products products = sums.Folded();
  const __m128i lengths = _mm_set_epi64x(static_cast<int64_t>(aad_length * 8), static_cast<int64_t>(length * 8));
  products.Add(_mm_xor_si128(lengths, hash), Load(powers_[kStride]), Load(halves_[kStride]));
  Store(tag, _mm_xor_si128(Reversed(products.Reduced()), mask));
}

TUNGATE_VAES void VaesGcm::Seal(const uint8_t* nonce, const uint8_t* aad, size_t aad_length, const uint8_t* from,
                                size_t length, uint8_t* to, uint8_t* tag) const {
  if (round_count_ == 10) return Crypt<true, 10>(nonce, aad, aad_length, from, length, to, tag);
  if (round_count_ == 12) return Crypt<true, 12>(nonce, aad, aad_length, from, length, to, tag);
  Crypt<true, 14>(nonce, aad, aad_length, from, length, to, tag);
}

TUNGATE_VAES void VaesGcm::Open(const uint8_t* nonce, const uint8_t* aad, size_t aad_length, const uint8_t* from,
                                size_t length, uint8_t* to, uint8_t* tag) const {
  if (round_count_ == 10) return Crypt<false, 10>(nonce, aad, aad_length, from, length, to, tag);
  if (round_count_ == 12) return Crypt<false, 12>(nonce, aad, aad_length, from, length, to, tag);
  Crypt<false, 14>(nonce, aad, aad_length, from, length, to, tag);
}

}  // namespace tungate

#else

namespace tungate {

bool VaesGcm::IsSupported() { return false; }
VaesGcm::VaesGcm(const uint8_t*, size_t) {}
VaesGcm::~VaesGcm() = default;
void VaesGcm::Seal(const uint8_t*, const uint8_t*, size_t, const uint8_t*, size_t, uint8_t*, uint8_t*) const {}
void VaesGcm::Open(const uint8_t*, const uint8_t*, size_t, const uint8_t*, size_t, uint8_t*, uint8_t*) const {}

}  // namespace tungate

#endif
