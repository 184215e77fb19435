// Implements segmentation (RFC 9293 section 3.7.1, RFC 768; CWR as RFC 3168 section 6.1.2 has it).
#include "tun_segment.h"

#include <algorithm>
#include <cstring>

namespace tungate {

bool Segmenter::Begin(uint8_t kind, size_t segment_length, const uint8_t* packet, size_t length) {
  packet_ = packet;
  length_ = length;
  is_plain_ = kind == kFramePlain;
  if (is_plain_) {
    transport_ = {};
    count_ = 1;
    return length > 0;
  }
  if (kind != kVnetGsoTcp4 && kind != kVnetGsoTcp6 && kind != kVnetGsoUdp) return false;
  if (!transport_.Parse(packet, length) || transport_.is_tcp != (kind != kVnetGsoUdp)) return false;
  if (transport_.is_tcp && transport_.is_ipv4 != (kind == kVnetGsoTcp4)) return false;
  if (segment_length == 0 || transport_.headers == length) return false;
  segment_ = segment_length;
  count_ = static_cast<uint32_t>((length - transport_.headers + segment_length - 1) / segment_length);
  return true;
}

size_t Segmenter::LengthOf(uint32_t k) const {
  if (is_plain_) return length_;
  return transport_.headers + std::min(segment_, length_ - transport_.headers - k * segment_);
}

void Segmenter::Cut(uint32_t k, size_t strip, uint8_t* to) const {
  if (is_plain_) {
    memcpy(to, packet_ + strip, length_ - strip);
    return;
  }
  const size_t total = LengthOf(k);
  const size_t from = transport_.headers + k * segment_;
  const size_t payload = total - transport_.headers;
  uint8_t headers[kTransportHeadersMax];
  memcpy(headers, packet_, transport_.headers);
  if (transport_.is_ipv4) Store16(headers + 4, (Load16(headers + 4) + k) & 0xffff);
  transport_.SetLength(headers, total);
  uint8_t* transport = headers + transport_.ip_header;
  if (transport_.is_tcp) {
    Store32(transport + 4, Load32(transport + 4) + static_cast<uint32_t>(k * segment_));
    if (k > 0) transport[13] &= static_cast<uint8_t>(~kTcpCwr);
    if (from + payload < length_) transport[13] &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
  }
  memset(transport + transport_.checksum_offset(), 0, 2);
  uint64_t sum = AddOctets(transport_.PseudoHeader(headers, total), transport, transport_.headers - transport_.ip_header);
  uint8_t* data = to + transport_.headers - strip;
  sum = CopyOctets(sum, data, packet_ + from, payload);
  uint16_t checksum = static_cast<uint16_t>(~FoldSum(sum));
  // In UDP zero means that there is none.
  if (checksum == 0 && !transport_.is_tcp) checksum = 0xffff;
  memcpy(transport + transport_.checksum_offset(), &checksum, 2);
  memcpy(to, headers + strip, transport_.headers - strip);
}

}  // namespace tungate
