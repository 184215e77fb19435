// Makes contexts.
#include "esp_context.h"

#include "esp_openssl.h"
#include "esp_vaes.h"

namespace tungate {

std::unique_ptr<EspContext> EspContext::Make(const SlotKeys& keys, uint32_t version, const EspLane& lane) {
  std::unique_ptr<EspContext> context(new EspContext());
  context->version_ = version;
  context->direction_ = keys.direction;
  if (!context->shape_.Take(keys)) return nullptr;
  if (lane.uses_vaes()) context->cipher_ = MakeVaesCipher(keys, context->shape_);
  if (context->cipher_ == nullptr) context->cipher_ = lane.Make(keys, context->shape_);
  if (context->cipher_ == nullptr) context->cipher_ = MakeOpensslCipher(keys, context->shape_);
  return context->cipher_ == nullptr ? nullptr : std::move(context);
}

}  // namespace tungate
