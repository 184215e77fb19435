// The SA table's layout: the same numbers as src/policy/sa-table.ts, which a test compares.
#ifndef TUNGATE_SA_TABLE_H
#define TUNGATE_SA_TABLE_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tungate {

namespace sa_table {

constexpr uint32_t kMagic = 0x54475341;
constexpr uint32_t kLayoutVersion = 4;

// Octets in the header page.
constexpr size_t kHeaderMagic = 0;
constexpr size_t kHeaderLayoutVersion = 4;
constexpr size_t kHeaderSlotCount = 8;
constexpr size_t kHeaderEndpointCount = 12;
constexpr size_t kHeaderPolicyCount = 16;
constexpr size_t kHeaderIndexCapacity = 20;
constexpr size_t kHeaderSize = 4096;

constexpr size_t kIndexEntryStride = 8;
constexpr size_t kPolicyStride = 16;

constexpr size_t kEndpointRemoteAddress = 0;
constexpr size_t kEndpointLocalAddress = 16;
constexpr size_t kEndpointRemotePort = 32;
constexpr size_t kEndpointLocalPort = 34;
constexpr size_t kEndpointFamily = 36;
constexpr size_t kEndpointEncapsulation = 37;
constexpr size_t kEndpointStride = 64;

constexpr uint8_t kEncapsulationRaw = 0;
constexpr uint8_t kEncapsulationUdp = 1;

constexpr size_t kSlotState = 0;
constexpr size_t kSlotSpi = 4;
constexpr size_t kSlotDirection = 8;
constexpr size_t kSlotEsn = 12;
constexpr size_t kSlotEncr = 16;
constexpr size_t kSlotEncrKeyBits = 20;
constexpr size_t kSlotInteg = 24;
constexpr size_t kSlotIvLength = 28;
constexpr size_t kSlotIcvLength = 32;
constexpr size_t kSlotBlockSize = 36;
constexpr size_t kSlotKeyGeneration = 40;
constexpr size_t kSlotSequence = 64;
constexpr size_t kSlotSequenceLimit = 72;
constexpr size_t kSlotStride = 1088;

constexpr uint32_t kDirectionInbound = 0;
constexpr uint32_t kDirectionOutbound = 1;

// The counts are checked against these before anything is computed from them.
constexpr uint32_t kCountMax = 1u << 20;

}  // namespace sa_table

// One mapping of the table. Whatever the octets say, no accessor leaves the mapping.
class SaTableView {
 public:
  SaTableView() = default;

  // False when the memory holds no table of this layout.
  bool Attach(uint8_t* memory, size_t size) {
    using namespace sa_table;
    if (size < kHeaderSize) return false;
    const uint32_t slots = Load32(memory + kHeaderSlotCount);
    const uint32_t endpoints = Load32(memory + kHeaderEndpointCount);
    const uint32_t policies = Load32(memory + kHeaderPolicyCount);
    if (Load32(memory + kHeaderMagic) != kMagic || Load32(memory + kHeaderLayoutVersion) != kLayoutVersion)
      return false;
    if (slots > kCountMax || endpoints > kCountMax || policies > kCountMax) return false;
    size_t index_capacity = 64;
    while (index_capacity < size_t{slots} * 2) index_capacity *= 2;
    const size_t endpoint_start = kHeaderSize + index_capacity * kIndexEntryStride + policies * kPolicyStride;
    const size_t slot_start = (endpoint_start + endpoints * kEndpointStride + 4095) / 4096 * 4096;
    if (slot_start + slots * kSlotStride > size) return false;
    slots_ = memory + slot_start;
    slot_count_ = slots;
    endpoints_ = memory + endpoint_start;
    endpoint_count_ = endpoints;
    return true;
  }

  uint32_t slot_count() const { return slot_count_; }
  // Null when there is no such slot.
  uint8_t* slot(uint32_t index) const {
    return index < slot_count_ ? slots_ + size_t{index} * sa_table::kSlotStride : nullptr;
  }
  const uint8_t* endpoint(uint32_t index) const {
    return index < endpoint_count_ ? endpoints_ + size_t{index} * sa_table::kEndpointStride : nullptr;
  }

  static uint32_t Load32(uint8_t* at) {
    return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(at)).load(std::memory_order_acquire);
  }

 private:
  uint8_t* slots_ = nullptr;
  uint32_t slot_count_ = 0;
  uint8_t* endpoints_ = nullptr;
  uint32_t endpoint_count_ = 0;
};

}  // namespace tungate

#endif
