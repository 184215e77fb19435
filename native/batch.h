// A packet batch of src/base/packet-batch.ts as pointers; registered once, so that a call per turn looks at no object.
#ifndef TUNGATE_BATCH_H
#define TUNGATE_BATCH_H

#include <node_api.h>

#include <cstddef>
#include <cstdint>
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
constexpr size_t kMetaInterface = 40;
constexpr size_t kMetaStride = 48;

constexpr uint32_t kBatchHeadroom = 64;
constexpr uint32_t kBatchTailroom = 320;
constexpr uint32_t kBatchCapacityMax = 4096;
constexpr uint32_t kCellOctetsMax = 1u << 18;

// Room for one receive's control messages: packet info, traffic class, and what else the kernel may add.
constexpr size_t kControlOctets = 128;

// The octets of one packet and of the cell that it lies in.
struct Packet {
  uint8_t* data;
  size_t length;
  // Room in the same cell before and behind the packet.
  size_t before;
  size_t behind;
};

struct Batch {
  uint8_t* bytes = nullptr;
  uint32_t capacity = 0;
  uint32_t stride = 0;
  uint32_t headroom = 0;
  uint32_t* offset = nullptr;
  uint32_t* length = nullptr;
  uint32_t* slot = nullptr;
  uint32_t* endpoint = nullptr;
  uint32_t* sequence_high = nullptr;
  uint8_t* tos = nullptr;
  uint8_t* status = nullptr;
  uint8_t* meta = nullptr;

  explicit Batch(napi_env owner) : env(owner) {}
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch();

  // False when the packet is not wholly inside one cell of the arena.
  bool Find(uint32_t i, Packet* packet) const {
    const uint32_t start = offset[i];
    if (start >= capacity * size_t{stride}) return false;
    const uint32_t before = start % stride;
    const uint32_t room = stride - before;
    const uint32_t octets = length[i];
    if (octets > room) return false;
    *packet = {bytes + start, octets, before, room - octets};
    return true;
  }
  uint8_t* cell(uint32_t i) const { return bytes + size_t{i} * stride; }
  // The longest packet that a reader may place in a cell.
  uint32_t packet_room() const { return stride - headroom - kBatchTailroom; }

  // Whether every array still has its memory: a script may have transferred it away.
  bool IsAttached(napi_env env) const;

  napi_env env;
  std::vector<napi_ref> buffers;
};

}  // namespace tungate

#endif
