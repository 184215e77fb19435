// The keys of one slot with the transforms that they are for; plain octets, so that every provider can be handed them.
#ifndef TUNGATE_ESP_KEYS_H
#define TUNGATE_ESP_KEYS_H

#include <cstddef>
#include <cstdint>

#include "esp_transform.h"

namespace tungate {

// What a cipher context is made of; a copy of it is wiped after use.
struct SlotKeys {
  uint32_t encr;
  uint32_t key_bits;
  uint32_t integ;
  uint32_t direction;
  uint32_t esn;
  uint32_t reserved;
  uint8_t encr_key[40];
  uint8_t integ_key[kIntegKeyMax];
  // Encrypts the sequence number to make CBC's IV unpredictable [ESP-21].
  uint8_t iv_key[16];

  void Wipe();
};
static_assert(kEncrKeyMax <= sizeof SlotKeys::encr_key);

}  // namespace tungate

#endif
