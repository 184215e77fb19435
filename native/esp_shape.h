// What every provider does alike around its cipher: associated data, nonces and IVs of an ESP packet in place.
#ifndef TUNGATE_ESP_SHAPE_H
#define TUNGATE_ESP_SHAPE_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "esp_keys.h"
#include "esp_transform.h"

namespace tungate {

// Octets of SPI and sequence number in front of the IV.
constexpr size_t kEspHeader = 8;
constexpr size_t kAadMax = 12;
constexpr size_t kNonceMax = 16;

inline void WriteBig32(uint8_t* at, uint32_t value) {
  const uint32_t big_endian = __builtin_bswap32(value);
  memcpy(at, &big_endian, sizeof big_endian);
}

inline void WriteBig64(uint8_t* at, uint64_t value) {
  const uint64_t big_endian = __builtin_bswap64(value);
  memcpy(at, &big_endian, sizeof big_endian);
}

struct EspShape {
  const EncrTransform* encr = nullptr;
  // Null with combined modes.
  const IntegTransform* integ = nullptr;
  bool esn = false;
  size_t icv_length = 0;
  uint8_t salt[4] = {};

  // False unless exactly one of the two transforms authenticates [ESP-24] [ENC-09].
  bool Take(const SlotKeys& keys) {
    encr = FindEncr(keys.encr, keys.key_bits);
    integ = FindInteg(keys.integ);
    if (encr == nullptr || (encr->icv_length != 0) == (integ != nullptr)) return false;
    // [AH-17] GMAC as an integrity algorithm is AH's, which has no cipher.
    if (integ != nullptr && integ->iv_length != 0 && encr->mode != CipherMode::kNull) return false;
    esn = keys.esn != 0;
    icv_length = integ != nullptr ? integ->icv_length : encr->icv_length;
    memcpy(salt, keys.encr_key + encr->key_length, encr->salt_length);
    return true;
  }

  uint8_t* data(uint8_t* esp) const { return esp + kEspHeader + encr->iv_length; }

  // SPI and the sequence number of 32 or 64 bits (RFC 4106 section 5) [ESP-16]; returns its length.
  size_t Aad(const uint8_t* esp, uint32_t sequence_high, uint8_t* aad) const {
    if (!esn) {
      memcpy(aad, esp, kEspHeader);
      return kEspHeader;
    }
    memcpy(aad, esp, 4);
    WriteBig32(aad + 4, sequence_high);
    memcpy(aad + 8, esp + 4, 4);
    return 12;
  }

  // The salt, then the IV of 8 octets, sent or made of the sequence number (RFC 8750 section 4); returns its length.
  size_t Nonce(const uint8_t* esp, uint32_t sequence_high, uint8_t* nonce) const {
    memcpy(nonce, salt, sizeof salt);
    uint8_t* iv = nonce + encr->salt_length;
    if (encr->has_implicit_iv()) {
      WriteBig32(iv, esn ? sequence_high : 0);
      memcpy(iv + 4, esp + 4, 4);
    } else {
      memcpy(iv, esp + kEspHeader, 8);
    }
    return encr->salt_length + 8;
  }

  // The first counter block of AES-CTR: nonce, IV, and a counter that starts at 1 (RFC 3686 section 4) [ESP-20].
  void CounterBlock(const uint8_t* esp, uint8_t* block) const {
    memcpy(block, salt, 4);
    memcpy(block + 4, esp + kEspHeader, 8);
    WriteBig32(block + 12, 1);
  }

  // Writes the IV of a counter mode, where it is sent: the number is taken once per key, which is all that it asks.
  void WriteCounterIv(uint8_t* esp, uint64_t sequence) const {
    if (encr->iv_length != 0) WriteBig64(esp + kEspHeader, sequence);
  }
};

}  // namespace tungate

#endif
