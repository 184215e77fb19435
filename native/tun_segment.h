// Cuts a TCP superpacket of a TUN device into the segments that a NIC would send.
#ifndef TUNGATE_TUN_SEGMENT_H
#define TUNGATE_TUN_SEGMENT_H

#include <cstddef>
#include <cstdint>

#include "tcp_packet.h"
#include "vnet_header.h"

namespace tungate {

class Segmenter {
 public:
  // Takes a superpacket, which stays where it is until it is cut. False when its headers make no sense.
  bool Begin(const VnetHeader& header, const uint8_t* packet, size_t length);
  bool HasMore() const { return at_ < length_; }
  void Stop() { at_ = length_; }
  // Octets of the next segment.
  size_t NextLength() const;
  // Writes the next segment, of NextLength() octets.
  void Cut(uint8_t* to);

 private:
  TcpPacket tcp_ = {};
  const uint8_t* packet_ = nullptr;
  size_t length_ = 0;
  size_t segment_ = 0;
  // Start of the payload that was not cut yet.
  size_t at_ = 0;
  uint32_t index_ = 0;
};

}  // namespace tungate

#endif
