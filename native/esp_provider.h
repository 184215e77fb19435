// How another library does ESP's cryptography: a table of functions that its addon hands over, and that each lane opens.
#ifndef TUNGATE_ESP_PROVIDER_H
#define TUNGATE_ESP_PROVIDER_H

#include <cstdint>
#include <memory>

#include "esp_cipher.h"
#include "esp_shape.h"

namespace tungate {

struct EspProvider {
  // TUNGATE_ADDON_SOURCES: both addons see the same structures only if they were made from the same sources.
  uint64_t sources;
  // What belongs to one thread. Null when there is no memory for it, or the processor lacks something.
  void* (*open_lane)();
  void (*close_lane)(void* lane);
  // Null for transforms that the library has not, or not faster than OpenSSL. `shape` is copied; nothing keeps `keys`.
  EspCipher* (*make)(void* lane, const SlotKeys& keys, const EspShape& shape);
  // The same for many packets at once.
  EspManyCipher* (*make_many)(void* lane, const SlotKeys& keys, const EspShape& shape);
};

// What one engine makes ciphers with: our own code for VAES or not, a provider that is opened or not, and OpenSSL.
class EspLane {
 public:
  EspLane() = default;
  EspLane(const EspProvider* provider, bool uses_vaes)
      : provider_(provider), lane_(provider != nullptr ? provider->open_lane() : nullptr), uses_vaes_(uses_vaes) {}
  EspLane(const EspLane&) = delete;
  EspLane& operator=(const EspLane&) = delete;
  ~EspLane() {
    if (lane_ != nullptr) provider_->close_lane(lane_);
  }

  bool uses_vaes() const { return uses_vaes_; }
  std::unique_ptr<EspCipher> Make(const SlotKeys& keys, const EspShape& shape) const {
    return std::unique_ptr<EspCipher>(lane_ != nullptr ? provider_->make(lane_, keys, shape) : nullptr);
  }
  std::unique_ptr<EspManyCipher> MakeMany(const SlotKeys& keys, const EspShape& shape) const {
    return std::unique_ptr<EspManyCipher>(lane_ != nullptr ? provider_->make_many(lane_, keys, shape) : nullptr);
  }

 private:
  const EspProvider* provider_ = nullptr;
  void* lane_ = nullptr;
  bool uses_vaes_ = false;
};

}  // namespace tungate

#endif
