// Makes contexts.
#include "esp_context.h"

#include "esp_openssl.h"
#include "esp_vaes.h"

namespace tungate {

namespace {

// Fewer are done sooner one by one (scripts/bench/crypto.ts): eight side by side take as long as one alone.
constexpr size_t kManyMin = 8;

}  // namespace

std::unique_ptr<EspContext> EspContext::Make(const SlotKeys& keys, uint32_t version, const EspLane& lane) {
  std::unique_ptr<EspContext> context(new EspContext());
  context->version_ = version;
  context->direction_ = keys.direction;
  if (!context->shape_.Take(keys)) return nullptr;
  if (lane.uses_vaes()) context->cipher_ = MakeVaesCipher(keys, context->shape_);
  if (context->cipher_ == nullptr) context->cipher_ = lane.Make(keys, context->shape_);
  if (context->cipher_ == nullptr) context->cipher_ = MakeOpensslCipher(keys, context->shape_);
  context->many_ = lane.MakeMany(keys, context->shape_);
  return context->cipher_ == nullptr ? nullptr : std::move(context);
}

void EspContext::SealMany(EspWork* work, size_t count) {
  if (count >= kManyMin) return many_->SealMany(work, count);
  for (size_t i = 0; i < count; i++) work[i].is_done = Seal(work[i].esp, work[i].length, work[i].sequence);
}

void EspContext::OpenMany(EspWork* work, size_t count) {
  if (count >= kManyMin) return many_->OpenMany(work, count);
  for (size_t i = 0; i < count; i++) work[i].is_done = Open(work[i].esp, work[i].length, work[i].sequence_high());
}

}  // namespace tungate
