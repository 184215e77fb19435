// Implements the runs: what may be merged is what the kernel's own receive offload would merge.
#include "tun_coalesce.h"

#include <cstring>

namespace tungate {

bool TcpRun::IsEligible(const TcpPacket& tcp, const uint8_t* packet, size_t length) {
  const uint8_t flags = packet[tcp.ip_header + 13];
  if (length == tcp.headers || (flags & static_cast<uint8_t>(~kTcpPsh)) != kTcpAck) return false;
  if (tcp.is_ipv4 && (tcp.ip_header != 20 || FoldSum(AddOctets(0, packet, 20)) != 0xffff)) return false;
  // The merged packet gets a checksum that is right: only of segments whose own was.
  return FoldSum(AddOctets(tcp.PseudoHeader(packet, length), packet + tcp.ip_header, length - tcp.ip_header)) ==
         0xffff;
}

bool TcpRun::IsSameFlow(const TcpPacket& other, const uint8_t* packet) const {
  return other.is_ipv4 == tcp.is_ipv4 &&
         memcmp(other.addresses(packet), tcp.addresses(first), 2 * tcp.address_octets()) == 0 &&
         memcmp(packet + other.ip_header, first + tcp.ip_header, 4) == 0;
}

bool TcpRun::CanTake(const TcpPacket& other, const uint8_t* packet, size_t length) const {
  const size_t payload = length - other.headers;
  if (is_closed || count == kSegmentsMax || other.headers != tcp.headers || other.ip_header != tcp.ip_header ||
      payload > segment || total + payload > UINT16_MAX)
    return false;
  if (tcp.is_ipv4) {
    const bool has_df = (first[6] & 0x40) != 0;
    const uint16_t id = Load16(packet + 4);
    const uint16_t first_id = Load16(first + 4);
    // Traffic class, flags and hop limit; the id counts up, or stands still where it means nothing.
    if (packet[1] != first[1] || memcmp(packet + 6, first + 6, 3) != 0 ||
        (id != static_cast<uint16_t>(first_id + count) && !(has_df && id == first_id)))
      return false;
  } else if (memcmp(packet, first, 4) != 0 || packet[7] != first[7]) {
    return false;
  }
  const uint8_t* theirs = packet + other.ip_header;
  const uint8_t* ours = first + tcp.ip_header;
  // Acknowledgement, header length, window, urgent pointer and options.
  return Load32(theirs + 4) == next_sequence && memcmp(theirs + 8, ours + 8, 5) == 0 &&
         memcmp(theirs + 14, ours + 14, 2) == 0 && memcmp(theirs + 18, ours + 18, tcp.headers - tcp.ip_header - 18) == 0;
}

void TcpRun::Append(const uint8_t* packet, size_t length, uint32_t index) {
  const size_t payload = length - tcp.headers;
  packets[count++] = index;
  total += payload;
  next_sequence += static_cast<uint32_t>(payload);
  is_pushed = (packet[tcp.ip_header + 13] & kTcpPsh) != 0;
  is_closed = is_pushed || payload < segment;
}

void TcpRun::Start(const TcpPacket& parsed, const uint8_t* packet, size_t length, uint32_t index) {
  tcp = parsed;
  first = packet;
  count = 0;
  segment = length - tcp.headers;
  total = tcp.headers;
  next_sequence = Load32(packet + tcp.ip_header + 4);
  Append(packet, length, index);
}

void TcpRun::Take(const uint8_t* packet, size_t length, uint32_t index) { Append(packet, length, index); }

VnetHeader TcpRun::WriteHeaders(uint8_t* headers) const {
  memcpy(headers, first, tcp.headers);
  tcp.SetLength(headers, total);
  uint8_t* header = headers + tcp.ip_header;
  if (is_pushed) header[13] |= kTcpPsh;
  // The host or its device adds the rest of the sum.
  const uint16_t partial = FoldSum(tcp.PseudoHeader(headers, total));
  memcpy(header + kTcpChecksum, &partial, 2);
  return {kVnetNeedsChecksum,
          tcp.is_ipv4 ? kVnetGsoTcp4 : kVnetGsoTcp6,
          static_cast<uint16_t>(tcp.headers),
          static_cast<uint16_t>(segment),
          static_cast<uint16_t>(tcp.ip_header),
          kTcpChecksum};
}

}  // namespace tungate
