// Collects consecutive segments or datagrams of a flow, so that the host takes them as one superpacket.
#ifndef TUNGATE_TUN_COALESCE_H
#define TUNGATE_TUN_COALESCE_H

#include <cstddef>
#include <cstdint>

#include "batch.h"
#include "transport_packet.h"
#include "vnet_header.h"

namespace tungate {

// Packets that follow one another, from the first on.
struct PacketRun {
  static constexpr uint32_t kSegmentsMax = 64;

  TransportPacket transport;
  // Index in the batch of each segment.
  uint32_t packets[kSegmentsMax];
  uint32_t count = 0;
  // The first packet, and what all have together.
  const uint8_t* first = nullptr;
  size_t segment = 0;
  size_t total = 0;
  uint32_t next_sequence = 0;
  // Nothing may follow: the last segment was short or pushed.
  bool is_closed = false;
  bool is_pushed = false;

  // Whether the packet may be in a run at all: sound, plain data, with a checksum that is right.
  static bool IsEligible(const TransportPacket& transport, const uint8_t* packet, size_t length);
  // Whether both belong to one flow.
  bool IsSameFlow(const TransportPacket& other, const uint8_t* packet) const;
  // Whether an eligible packet of the flow is the next segment.
  bool CanTake(const TransportPacket& other, const uint8_t* packet, size_t length) const;
  void Start(const TransportPacket& parsed, const uint8_t* packet, size_t length, uint32_t index);
  void Take(const uint8_t* packet, size_t length, uint32_t index);
  // The superpacket's headers into `headers`; the virtio-net header that goes with them.
  VnetHeader WriteHeaders(uint8_t* headers) const;

 private:
  bool IsNextSegment(const uint8_t* packet) const;
};

}  // namespace tungate

#endif
