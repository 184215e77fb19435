// The Internet checksum (RFC 1071), in the machine's byte order throughout.
#ifndef TUNGATE_CHECKSUM_H
#define TUNGATE_CHECKSUM_H

#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tungate {

// Adds octets to an unfolded sum. Only the last part of a sum may have an odd length.
inline uint64_t AddOctets(uint64_t sum, const uint8_t* data, size_t length) {
  if (length >= 64) {
    // Four sums of 32-bit words each, which no length of a packet overflows.
    typedef uint64_t Lanes __attribute__((vector_size(32)));
    const Lanes low = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};
    Lanes even = {};
    Lanes odd = {};
    for (; length >= 32; data += 32, length -= 32) {
      Lanes words;
      memcpy(&words, data, sizeof words);
      even += words & low;
      odd += words >> 32;
    }
    even += odd;
    sum += even[0] + even[1] + even[2] + even[3];
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
