// Collects consecutive TCP segments of a flow, so that the host takes them as one superpacket.
#ifndef TUNGATE_TUN_COALESCE_H
#define TUNGATE_TUN_COALESCE_H

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "batch.h"
#include "tcp_packet.h"
#include "vnet_header.h"

namespace tungate {

// Segments that follow one another, from the first on.
struct TcpRun {
  static constexpr uint32_t kSegmentsMax = 64;

  TcpPacket tcp;
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
  static bool IsEligible(const TcpPacket& tcp, const uint8_t* packet, size_t length);
  // Whether both belong to one TCP flow.
  bool IsSameFlow(const TcpPacket& other, const uint8_t* packet) const;
  // Whether an eligible packet of the flow is the next segment.
  bool CanTake(const TcpPacket& other, const uint8_t* packet, size_t length) const;
  void Start(const TcpPacket& parsed, const uint8_t* packet, size_t length, uint32_t index);
  void Take(const uint8_t* packet, size_t length, uint32_t index);
  // The superpacket's headers into `headers`; the virtio-net header that goes with them.
  VnetHeader WriteHeaders(uint8_t* headers) const;

 private:
  void Append(const uint8_t* packet, size_t length, uint32_t index);
};

}  // namespace tungate

#endif
