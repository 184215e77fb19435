// Where things lie in a TCP or UDP packet over IPv4 or IPv6: as much as segmentation and coalescing need, and no more.
#ifndef TUNGATE_TRANSPORT_PACKET_H
#define TUNGATE_TRANSPORT_PACKET_H

#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "checksum.h"

namespace tungate {

constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kProtocolUdp = 17;
constexpr uint8_t kTcpFin = 0x01;
constexpr uint8_t kTcpPsh = 0x08;
constexpr uint8_t kTcpAck = 0x10;
constexpr uint8_t kTcpCwr = 0x80;
constexpr size_t kUdpHeader = 8;
// The largest IPv4 and TCP headers.
constexpr size_t kTransportHeadersMax = 60 + 60;

inline uint16_t Load16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
inline uint32_t Load32(const uint8_t* at) {
  return static_cast<uint32_t>(at[0]) << 24 | static_cast<uint32_t>(at[1]) << 16 |
         static_cast<uint32_t>(at[2]) << 8 | at[3];
}
inline void Store16(uint8_t* at, size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
inline void Store32(uint8_t* at, uint32_t value) {
  Store16(at, value >> 16);
  Store16(at + 2, value & 0xffff);
}

struct TransportPacket {
  bool is_ipv4;
  bool is_tcp;
  size_t ip_header;
  // IP and transport header: where the payload starts.
  size_t headers;

  // False unless it is a whole TCP or UDP packet, no fragment, without IPv6 extension headers.
  bool Parse(const uint8_t* packet, size_t length) {
    if (length < 20) return false;
    const uint8_t version = packet[0] >> 4;
    size_t total = 0;
    uint8_t protocol = 0;
    if (version == 4) {
      ip_header = (packet[0] & 15u) * 4;
      total = Load16(packet + 2);
      protocol = packet[9];
      if (ip_header < 20 || (Load16(packet + 6) & 0x3fff) != 0) return false;
    } else if (version == 6 && length >= 40) {
      ip_header = 40;
      total = 40 + size_t{Load16(packet + 4)};
      protocol = packet[6];
    } else {
      return false;
    }
    is_ipv4 = version == 4;
    is_tcp = protocol == kProtocolTcp;
    if (total != length || (!is_tcp && protocol != kProtocolUdp)) return false;
    if (length < ip_header + (is_tcp ? 20 : kUdpHeader)) return false;
    const size_t transport_header = is_tcp ? (packet[ip_header + 12] >> 4) * 4u : kUdpHeader;
    headers = ip_header + transport_header;
    return (!is_tcp || transport_header >= 20) && headers <= length;
  }

  const uint8_t* addresses(const uint8_t* packet) const { return packet + (is_ipv4 ? 12 : 8); }
  size_t address_octets() const { return is_ipv4 ? 4 : 16; }
  // Of the checksum in the transport header.
  size_t checksum_offset() const { return is_tcp ? 16 : 6; }

  uint64_t PseudoHeader(const uint8_t* packet, size_t length) const {
    return PseudoHeaderSum(addresses(packet), address_octets(), is_tcp ? kProtocolTcp : kProtocolUdp,
                           length - ip_header);
  }

  // Writes the lengths that the headers of a packet have, and IPv4's checksum.
  void SetLength(uint8_t* packet, size_t length) const {
    if (!is_tcp) Store16(packet + ip_header + 4, length - ip_header);
    if (!is_ipv4) return Store16(packet + 4, length - ip_header);
    Store16(packet + 2, length);
    memset(packet + 10, 0, 2);
    const uint16_t checksum = static_cast<uint16_t>(~FoldSum(AddOctets(0, packet, ip_header)));
    memcpy(packet + 10, &checksum, 2);
  }
};

}  // namespace tungate

#endif
