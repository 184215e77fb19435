// The Internet checksum (RFC 1071), in the machine's byte order throughout.
#ifndef TUNGATE_CHECKSUM_H
#define TUNGATE_CHECKSUM_H

#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tungate {

// Sums and copies of many octets, in wide registers where the processor has them. `length` is a multiple of kSumStride.
constexpr size_t kSumStride = 32;
uint64_t SumWide(const uint8_t* data, size_t length);
uint64_t CopyAndSumWide(uint8_t* to, const uint8_t* from, size_t length);

// Adds octets to an unfolded sum. Only the last part of a sum may have an odd length.
inline uint64_t AddOctets(uint64_t sum, const uint8_t* data, size_t length) {
  if (length >= 4 * kSumStride) {
    const size_t wide = length / kSumStride * kSumStride;
    sum += SumWide(data, wide);
    data += wide;
    length -= wide;
  }
  for (; length >= 8; data += 8, length -= 8) {
    uint64_t words;
    memcpy(&words, data, 8);
    sum += (words & 0xffffffff) + (words >> 32);
  }
  for (; length >= 2; data += 2, length -= 2) {
    uint16_t word;
    memcpy(&word, data, 2);
    sum += word;
  }
  if (length == 1) {
    uint16_t word = 0;
    memcpy(&word, data, 1);
    sum += word;
  }
  return sum;
}

// As AddOctets, and copies them.
inline uint64_t CopyOctets(uint64_t sum, uint8_t* to, const uint8_t* from, size_t length) {
  const size_t wide = length / kSumStride * kSumStride;
  if (wide > 0) sum += CopyAndSumWide(to, from, wide);
  memcpy(to + wide, from + wide, length - wide);
  return AddOctets(sum, from + wide, length - wide);
}

inline uint16_t FoldSum(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The addresses of both ends lie one after the other; `length` is that of the transport header and what follows it.
inline uint64_t PseudoHeaderSum(const uint8_t* addresses, size_t address_octets, uint8_t protocol, size_t length) {
  const uint64_t sum = AddOctets(0, addresses, 2 * address_octets);
  return sum + htons(protocol) + htons(static_cast<uint16_t>(length));
}

}  // namespace tungate

#endif
