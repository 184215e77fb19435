// Implements the wide sums. What the compiler makes of the loops for every processor of an architecture is half as fast.
#include "checksum.h"

namespace tungate {

namespace {

typedef uint64_t Lanes __attribute__((vector_size(32)));

// Four sums each of the even and of the odd words of 32 bits, which no length of a packet overflows.
template <bool kCopies>
__attribute__((always_inline)) inline uint64_t Sum(uint8_t* to, const uint8_t* from, size_t length) {
  const Lanes low = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};
  Lanes even = {};
  Lanes odd = {};
  for (size_t at = 0; at < length; at += kSumStride) {
    Lanes words;
    memcpy(&words, from + at, sizeof words);
    if (kCopies) memcpy(to + at, &words, sizeof words);
    even += words & low;
    odd += words >> 32;
  }
  even += odd;
  return even[0] + even[1] + even[2] + even[3];
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) uint64_t SumAvx2(const uint8_t* data, size_t length) {
  return Sum<false>(nullptr, data, length);
}

__attribute__((target("avx2"))) uint64_t CopyAndSumAvx2(uint8_t* to, const uint8_t* from, size_t length) {
  return Sum<true>(to, from, length);
}

const bool kHasAvx2 = __builtin_cpu_supports("avx2");

#endif

}  // namespace

uint64_t SumWide(const uint8_t* data, size_t length) {
#if defined(__x86_64__)
  if (kHasAvx2) return SumAvx2(data, length);
#endif
  return Sum<false>(nullptr, data, length);
}

uint64_t CopyAndSumWide(uint8_t* to, const uint8_t* from, size_t length) {
#if defined(__x86_64__)
  if (kHasAvx2) return CopyAndSumAvx2(to, from, length);
#endif
  return Sum<true>(to, from, length);
}

}  // namespace tungate
