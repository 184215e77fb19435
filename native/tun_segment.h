// Cuts a superpacket of a TUN device into the packets that a network card would send.
#ifndef TUNGATE_TUN_SEGMENT_H
#define TUNGATE_TUN_SEGMENT_H

#include <cstddef>
#include <cstdint>

#include "transport_packet.h"
#include "vnet_header.h"

namespace tungate {

// What a frame of src/base/frame-batch.ts is: a packet as it is, or a superpacket by the number that virtio-net gives it.
constexpr uint8_t kFramePlain = 0;

class Segmenter {
 public:
  // Takes a frame, which stays where it is. False when its headers make no sense for its kind.
  bool Begin(uint8_t kind, size_t segment_length, const uint8_t* packet, size_t length);

  uint32_t count() const { return count_; }
  // Octets of the headers that every packet of a superpacket begins with; of a plain packet none are known.
  size_t headers() const { return transport_.headers; }
  size_t ip_header() const { return transport_.ip_header; }
  // Octets of packet `k`; none is longer than the first.
  size_t LengthOf(uint32_t k) const;
  // Writes packet `k` without its first `strip` octets, at most the IP header.
  void Cut(uint32_t k, size_t strip, uint8_t* to) const;

 private:
  TransportPacket transport_ = {};
  const uint8_t* packet_ = nullptr;
  size_t length_ = 0;
  size_t segment_ = 0;
  uint32_t count_ = 0;
  bool is_plain_ = true;
};

}  // namespace tungate

#endif
