// A batch of src/base/packet-batch.ts or frame-batch.ts as pointers; registered once, so that a call per turn looks at no object.
#ifndef TUNGATE_BATCH_H
#define TUNGATE_BATCH_H

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tungate {

constexpr uint8_t kPacketOk = 0;
constexpr uint8_t kPacketNotAuthentic = 1;
constexpr uint8_t kPacketSequenceExhausted = 2;
constexpr uint8_t kPacketBadLength = 3;
constexpr uint8_t kPacketNoKey = 4;
constexpr uint8_t kPacketTooBig = 5;
constexpr uint8_t kPacketNotSent = 6;

constexpr size_t kMetaRemoteAddress = 0;
constexpr size_t kMetaLocalAddress = 16;
constexpr size_t kMetaRemotePort = 32;
constexpr size_t kMetaLocalPort = 34;
constexpr size_t kMetaFamily = 36;
constexpr size_t kMetaTos = 37;
constexpr size_t kMetaHeaderLength = 38;
constexpr size_t kMetaInterface = 40;
constexpr size_t kMetaStride = 48;

constexpr uint32_t kBatchCapacityMax = 1u << 16;
constexpr size_t kArenaOctetsMax = 1u << 28;
constexpr size_t kReceiveStride = 65536 + 1600;
// Of a raw socket, whose packets come one by one: four times as many in one call, until one is longer.
constexpr size_t kReceiveRawStride = kReceiveStride / 4;
constexpr uint32_t kReceiveRunMax = 128;

constexpr uint32_t kFrameSegmentsMax = 1366;
constexpr size_t kFrameOctetsMax = 1 << 16;
constexpr size_t kFrameAlignment = 64;

// Room for one receive's control messages: packet info, traffic class, and what else the kernel may add.
constexpr size_t kControlOctets = 128;

// The octets of one packet.
struct Packet {
  uint8_t* data;
  size_t length;
};

// What frames have besides; null in a batch of packets.
struct FrameColumns {
  uint8_t* kind = nullptr;
  uint16_t* segment_length = nullptr;
  uint16_t* segments = nullptr;
  uint32_t* packet_length = nullptr;
  uint8_t* next_header = nullptr;
  uint8_t* strip = nullptr;
  uint16_t* pad_to = nullptr;
  uint16_t* sealed = nullptr;
  // Frame, and packet of that frame.
  uint32_t* cursor = nullptr;
};

// Datagrams that were received into the arena and are not in the batch's columns yet.
struct Received;

struct Batch {
  uint8_t* bytes = nullptr;
  size_t octets = 0;
  uint32_t capacity = 0;
  uint32_t* offset = nullptr;
  uint32_t* length = nullptr;
  uint32_t* slot = nullptr;
  uint32_t* endpoint = nullptr;
  uint32_t* sequence_high = nullptr;
  uint32_t* frame = nullptr;
  uint8_t* tos = nullptr;
  uint8_t* status = nullptr;
  uint8_t* meta = nullptr;
  FrameColumns frames;
  std::unique_ptr<Received> received;

  explicit Batch(napi_env owner);
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch();

  bool is_frames() const { return frames.kind != nullptr; }

  // False when the packet is not wholly inside the arena.
  bool Find(uint32_t i, Packet* packet) const {
    const size_t start = offset[i];
    const size_t size = length[i];
    if (start > octets || size > octets - start) return false;
    *packet = {bytes + start, size};
    return true;
  }

  // Whether every array still has its memory: a script may have transferred it away.
  bool IsAttached(napi_env env) const;

  napi_env env;
  std::vector<napi_ref> buffers;
};

}  // namespace tungate

#endif
