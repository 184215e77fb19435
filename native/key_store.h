// Keys by slot in a memory of their own, which no script maps; its descriptor can be kept by the service manager.
#ifndef TUNGATE_KEY_STORE_H
#define TUNGATE_KEY_STORE_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "esp_keys.h"
#include "memfd.h"
#include "sa_table.h"

namespace tungate {

// Lies in the shared memory. The main thread writes; `version` is odd meanwhile and even otherwise.
struct KeyRecord {
  std::atomic<uint32_t> version;
  uint32_t is_present;
  SlotKeys keys;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);

class KeyStore {
 public:
  // A descriptor or -errno.
  static int Create(uint32_t slots);
  // -EINVAL when the memory holds no key store of this version.
  static int Open(int fd, std::shared_ptr<KeyStore>* store);

  uint32_t slot_count() const { return slot_count_; }

  // Takes the transforms, direction and ESN from the slot's record, so that later changes there cannot bend the key to
  // another use, and raises the record's KEY_GENERATION. 0, -EINVAL, -ENOTSUP, or -EIO without random octets.
  int Install(const SaTableView& table, uint32_t slot, const uint8_t* encr, size_t encr_length,
              const uint8_t* integ, size_t integ_length);
  // 0, or -EINVAL when there is no such slot.
  int Wipe(uint32_t slot);
  // Whether the slot has keys that were written to their end.
  bool Holds(uint32_t slot) const {
    if (slot >= slot_count_) return false;
    return Version(slot) % 2 == 0 && record(slot)->is_present == 1;
  }

  // Changes whenever the slot gets or loses a key; `slot` is below slot_count().
  uint32_t Version(uint32_t slot) const { return record(slot)->version.load(std::memory_order_acquire); }
  // Copies a slot's keys. False when it has none, or when they change meanwhile.
  bool Read(uint32_t slot, SlotKeys* keys, uint32_t* version) const;

 private:
  explicit KeyStore(std::shared_ptr<Mapping> mapping);
  KeyRecord* record(uint32_t slot) const;

  std::shared_ptr<Mapping> mapping_;
  uint32_t slot_count_;
};

}  // namespace tungate

#endif
