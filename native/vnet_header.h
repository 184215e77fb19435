// The virtio-net header in front of each packet on a TUN queue; the kernel's own header file is no C++.
#ifndef TUNGATE_VNET_HEADER_H
#define TUNGATE_VNET_HEADER_H

#include <cstddef>
#include <cstdint>

namespace tungate {

// In the machine's byte order.
struct VnetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_length;
  uint16_t gso_size;
  uint16_t checksum_start;
  uint16_t checksum_offset;
};
constexpr size_t kVnetHeader = sizeof(VnetHeader);
static_assert(kVnetHeader == 10);

constexpr uint8_t kVnetNeedsChecksum = 1;
constexpr uint8_t kVnetGsoNone = 0;
constexpr uint8_t kVnetGsoTcp4 = 1;
constexpr uint8_t kVnetGsoTcp6 = 4;
// Needs Linux 6.2.
constexpr uint8_t kVnetGsoUdp = 5;
constexpr uint8_t kVnetGsoEcn = 0x80;

}  // namespace tungate

#endif
