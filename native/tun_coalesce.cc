// Implements the runs: what may be merged is what the kernel's own receive offload would merge.
#include "tun_coalesce.h"

#include <cstring>

namespace tungate {

bool PacketRun::IsEligible(const TransportPacket& transport, const uint8_t* packet, size_t length) {
  const uint8_t* header = packet + transport.ip_header;
  if (length == transport.headers) return false;
  if (transport.is_tcp) {
    if ((header[13] & static_cast<uint8_t>(~kTcpPsh)) != kTcpAck) return false;
  } else if (Load16(header + 4) != length - transport.ip_header || Load16(header + 6) == 0) {
    // Without a checksum there is nothing to verify.
    return false;
  }
  if (transport.is_ipv4 && (transport.ip_header != 20 || FoldSum(AddOctets(0, packet, 20)) != 0xffff)) return false;
  // The merged packet gets a checksum that is right: only of segments whose own was.
  return FoldSum(AddOctets(transport.PseudoHeader(packet, length), header, length - transport.ip_header)) == 0xffff;
}

bool PacketRun::IsSameFlow(const TransportPacket& other, const uint8_t* packet) const {
  return other.is_ipv4 == transport.is_ipv4 && other.is_tcp == transport.is_tcp &&
         memcmp(other.addresses(packet), transport.addresses(first), 2 * transport.address_octets()) == 0 &&
         memcmp(packet + other.ip_header, first + transport.ip_header, 4) == 0;
}

bool PacketRun::CanTake(const TransportPacket& other, const uint8_t* packet, size_t length) const {
  const size_t payload = length - other.headers;
  if (is_closed || count == kSegmentsMax || other.headers != transport.headers ||
      other.ip_header != transport.ip_header || payload > segment || total + payload > UINT16_MAX)
    return false;
  if (transport.is_ipv4) {
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
  return !transport.is_tcp || IsNextSegment(packet);
}

bool PacketRun::IsNextSegment(const uint8_t* packet) const {
  const uint8_t* theirs = packet + transport.ip_header;
  const uint8_t* ours = first + transport.ip_header;
  // Acknowledgement, header length, window, urgent pointer and options.
  return Load32(theirs + 4) == next_sequence && memcmp(theirs + 8, ours + 8, 5) == 0 &&
         memcmp(theirs + 14, ours + 14, 2) == 0 &&
         memcmp(theirs + 18, ours + 18, transport.headers - transport.ip_header - 18) == 0;
}

void PacketRun::Take(const uint8_t* packet, size_t length, uint32_t index) {
  const size_t payload = length - transport.headers;
  packets[count++] = index;
  total += payload;
  next_sequence += static_cast<uint32_t>(payload);
  is_pushed = transport.is_tcp && (packet[transport.ip_header + 13] & kTcpPsh) != 0;
  is_closed = is_pushed || payload < segment;
}

void PacketRun::Start(const TransportPacket& parsed, const uint8_t* packet, size_t length, uint32_t index) {
  transport = parsed;
  first = packet;
  count = 0;
  segment = length - transport.headers;
  total = transport.headers;
  next_sequence = transport.is_tcp ? Load32(packet + transport.ip_header + 4) : 0;
  Take(packet, length, index);
}

VnetHeader PacketRun::WriteHeaders(uint8_t* headers) const {
  memcpy(headers, first, transport.headers);
  transport.SetLength(headers, total);
  uint8_t* header = headers + transport.ip_header;
  if (is_pushed) header[13] |= kTcpPsh;
  // The host or its device adds the rest of the sum.
  const uint16_t partial = FoldSum(transport.PseudoHeader(headers, total));
  memcpy(header + transport.checksum_offset(), &partial, 2);
  return {kVnetNeedsChecksum,
          !transport.is_tcp ? kVnetGsoUdp : transport.is_ipv4 ? kVnetGsoTcp4 : kVnetGsoTcp6,
          static_cast<uint16_t>(transport.headers),
          static_cast<uint16_t>(segment),
          static_cast<uint16_t>(transport.ip_header),
          static_cast<uint16_t>(transport.checksum_offset())};
}

}  // namespace tungate
