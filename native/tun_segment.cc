// Implements TCP segmentation (RFC 9293 section 3.7.1; CWR as RFC 3168 section 6.1.2 has it).
#include "tun_segment.h"

#include <algorithm>
#include <cstring>

namespace tungate {

bool Segmenter::Begin(const VnetHeader& header, const uint8_t* packet, size_t length) {
  const uint8_t type = header.gso_type & static_cast<uint8_t>(~kVnetGsoEcn);
  at_ = length_ = 0;
  if (type != kVnetGsoTcp4 && type != kVnetGsoTcp6) return false;
  if (!tcp_.Parse(packet, length) || tcp_.is_ipv4 != (type == kVnetGsoTcp4)) return false;
  if (header.gso_size == 0 || tcp_.headers == length) return false;
  packet_ = packet;
  length_ = length;
  segment_ = header.gso_size;
  at_ = tcp_.headers;
  index_ = 0;
  return true;
}

size_t Segmenter::NextLength() const { return tcp_.headers + std::min(segment_, length_ - at_); }

void Segmenter::Cut(uint8_t* to) {
  const size_t payload = std::min(segment_, length_ - at_);
  const size_t total = tcp_.headers + payload;
  memcpy(to, packet_, tcp_.headers);
  memcpy(to + tcp_.headers, packet_ + at_, payload);
  if (tcp_.is_ipv4) Store16(to + 4, (Load16(to + 4) + index_) & 0xffff);
  tcp_.SetLength(to, total);
  uint8_t* tcp = to + tcp_.ip_header;
  Store32(tcp + 4, Load32(tcp + 4) + static_cast<uint32_t>(at_ - tcp_.headers));
  if (index_ > 0) tcp[13] &= static_cast<uint8_t>(~kTcpCwr);
  if (at_ + payload < length_) tcp[13] &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
  memset(tcp + kTcpChecksum, 0, 2);
  const uint64_t sum = AddOctets(tcp_.PseudoHeader(to, total), tcp, total - tcp_.ip_header);
  const uint16_t checksum = static_cast<uint16_t>(~FoldSum(sum));
  memcpy(tcp + kTcpChecksum, &checksum, 2);
  at_ += payload;
  index_++;
}

}  // namespace tungate
