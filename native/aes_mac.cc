// Implements the MACs of AES.
#include "aes_mac.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>

namespace tungate {

namespace {

// What doubling in GF(2^128) adds when a bit falls out at the top (RFC 4493 section 2.3).
constexpr uint8_t kReduction = 0x87;
constexpr uint8_t kEndMark = 0x80;
// Octets that are chained in one call; what comes out is of no use but for its last block.
constexpr size_t kChunk = 512;

void Double(const uint8_t* from, uint8_t* to) {
  const uint8_t carry = static_cast<uint8_t>(-(from[0] >> 7));
  for (size_t i = 0; i < AesMac::kBlock; i++) {
    const uint8_t next = i + 1 < AesMac::kBlock ? from[i + 1] : 0;
    to[i] = static_cast<uint8_t>(from[i] << 1 | next >> 7);
  }
  to[AesMac::kBlock - 1] ^= kReduction & carry;
}

}  // namespace

AesMac::~AesMac() {
  OPENSSL_cleanse(whole_, sizeof whole_);
  OPENSSL_cleanse(partial_, sizeof partial_);
  OPENSSL_cleanse(pending_, sizeof pending_);
}

bool AesMac::Prepare(MacMode mode, const uint8_t* key) {
  uint8_t block[kBlock] = {};
  CipherContext single = KeyedCipher("AES-128-ECB", key, true);
  if (single == nullptr) return false;
  const auto encrypt = [&](const uint8_t* from, uint8_t* to) {
    return CryptBlocks(single.get(), from, to, kBlock);
  };
  bool is_made = false;
  if (mode == MacMode::kAesXcbc) {
    uint8_t derived[3][kBlock];
    for (uint8_t i = 0; i < 3; i++) memset(derived[i], i + 1, kBlock);
    is_made = encrypt(derived[0], block) && encrypt(derived[1], whole_) && encrypt(derived[2], partial_);
    if (is_made) cipher_ = KeyedCipher("AES-128-CBC", block, true);
  } else {
    is_made = encrypt(block, block);
    Double(block, whole_);
    Double(whole_, partial_);
    if (is_made) cipher_ = KeyedCipher("AES-128-CBC", key, true);
  }
  OPENSSL_cleanse(block, sizeof block);
  return is_made && cipher_ != nullptr;
}

bool AesMac::Begin() {
  constexpr uint8_t kZero[kBlock] = {};
  pending_length_ = 0;
  return EVP_EncryptInit_ex2(cipher_.get(), nullptr, nullptr, kZero, nullptr) == 1;
}

bool AesMac::Chain(const uint8_t* blocks, size_t length) {
  uint8_t unused[kChunk];
  for (size_t at = 0; at < length; at += kChunk)
    if (!CryptBlocks(cipher_.get(), blocks + at, unused, std::min(kChunk, length - at))) return false;
  return true;
}

bool AesMac::Update(const uint8_t* data, size_t length) {
  if (length == 0) return true;
  if (pending_length_ > 0) {
    const size_t taken = std::min(kBlock - pending_length_, length);
    memcpy(pending_ + pending_length_, data, taken);
    pending_length_ += taken;
    data += taken;
    length -= taken;
    if (length == 0) return true;
    if (!Chain(pending_, kBlock)) return false;
  }
  // The last block, filled or not, waits for its mask.
  const size_t chained = (length - 1) / kBlock * kBlock;
  if (!Chain(data, chained)) return false;
  pending_length_ = length - chained;
  memcpy(pending_, data + chained, pending_length_);
  return true;
}

bool AesMac::Final(uint8_t* mac) {
  const bool is_whole = pending_length_ == kBlock;
  if (!is_whole) {
    pending_[pending_length_] = kEndMark;
    memset(pending_ + pending_length_ + 1, 0, kBlock - pending_length_ - 1);
  }
  const uint8_t* mask = is_whole ? whole_ : partial_;
  for (size_t i = 0; i < kBlock; i++) pending_[i] ^= mask[i];
  return CryptBlocks(cipher_.get(), pending_, mac, kBlock);
}

}  // namespace tungate
