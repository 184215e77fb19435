// Implements the engine: checks lengths, takes sequence numbers, and leaves nothing of a packet that is not authentic.
#include "esp_engine.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "state.h"

namespace tungate {

namespace {

// Takes the next number of the slot, 0 when none is left. No interleaving of threads gives one number twice or
// steps over the limit [ESP-02] [ESP-03].
uint64_t TakeSequence(uint8_t* slot, bool esn) {
  using namespace sa_table;
  std::atomic_ref<uint64_t> counter(*reinterpret_cast<uint64_t*>(slot + kSlotSequence));
  uint64_t limit = std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(slot + kSlotSequenceLimit))
                       .load(std::memory_order_relaxed);
  if (!esn && limit > UINT32_MAX) limit = UINT32_MAX;
  uint64_t last = counter.load(std::memory_order_relaxed);
  do {
    if (last >= limit) return 0;
  } while (!counter.compare_exchange_weak(last, last + 1, std::memory_order_acq_rel));
  return last + 1;
}

}  // namespace

bool EspEngine::Attach(std::shared_ptr<Mapping> table, std::shared_ptr<KeyStore> keys) {
  memory_ = std::move(table);
  keys_ = std::move(keys);
  if (!table_.Attach(memory_->data(), memory_->size()) || table_.slot_count() > keys_->slot_count()) return false;
  contexts_.resize(table_.slot_count());
  return true;
}

EspContext* EspEngine::ContextFor(uint32_t slot, uint32_t direction) {
  if (slot >= contexts_.size()) return nullptr;
  std::unique_ptr<EspContext>& context = contexts_[slot];
  if (context == nullptr || context->version() != keys_->Version(slot)) {
    SlotKeys keys;
    uint32_t version = 0;
    context.reset();
    if (!keys_->Read(slot, &keys, &version)) return nullptr;
    context = EspContext::Make(keys, version);
    keys.Wipe();
  }
  // Sealing with the peer's key would repeat its nonces.
  return context != nullptr && context->direction() == direction ? context.get() : nullptr;
}

uint8_t EspEngine::SealOne(Batch& batch, uint32_t i) {
  Packet packet;
  const uint32_t slot = batch.slot[i];
  EspContext* context = ContextFor(slot, sa_table::kDirectionOutbound);
  if (context == nullptr) return kPacketNoKey;
  const size_t front = kEspHeader + context->iv_length();
  if (!batch.Find(i, &packet) || packet.length == 0 || packet.length % context->block_size() != 0 ||
      packet.before < front || packet.behind < context->icv_length())
    return kPacketBadLength;
  uint8_t* sa = table_.slot(slot);
  const uint64_t sequence = TakeSequence(sa, context->esn());
  if (sequence == 0) return kPacketSequenceExhausted;
  // A slot given to another SA in between counts for that one's key.
  if (keys_->Version(slot) != context->version()) return kPacketNoKey;
  uint8_t* esp = packet.data - front;
  const uint32_t spi = __builtin_bswap32(SaTableView::Load32(sa + sa_table::kSlotSpi));
  const uint32_t sequence_low = __builtin_bswap32(static_cast<uint32_t>(sequence));
  memcpy(esp, &spi, 4);
  memcpy(esp + 4, &sequence_low, 4);
  if (!context->Seal(esp, packet.length, sequence)) {
    OPENSSL_cleanse(packet.data, packet.length);
    return kPacketNoKey;
  }
  batch.offset[i] -= static_cast<uint32_t>(front);
  batch.length[i] += static_cast<uint32_t>(front + context->icv_length());
  return kPacketOk;
}

uint8_t EspEngine::OpenOne(Batch& batch, uint32_t i) {
  Packet packet;
  EspContext* context = ContextFor(batch.slot[i], sa_table::kDirectionInbound);
  if (context == nullptr) return kPacketNoKey;
  if (!batch.Find(i, &packet)) return kPacketBadLength;
  const size_t front = kEspHeader + context->iv_length();
  const size_t around = front + context->icv_length();
  // Pad length and next header are the least that a packet holds.
  if (packet.length < around + 2 || (packet.length - around) % context->cipher_block_size() != 0)
    return kPacketBadLength;
  const size_t length = packet.length - around;
  if (!context->Open(packet.data, length, batch.sequence_high[i])) {
    OPENSSL_cleanse(packet.data, packet.length);
    return kPacketNotAuthentic;
  }
  batch.offset[i] += static_cast<uint32_t>(front);
  batch.length[i] = static_cast<uint32_t>(length);
  return kPacketOk;
}

void EspEngine::Seal(Batch& batch, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) batch.status[i] = SealOne(batch, i);
}

void EspEngine::Open(Batch& batch, uint32_t count) {
  bool has_failed = false;
  for (uint32_t i = 0; i < count; i++) {
    batch.status[i] = OpenOne(batch, i);
    has_failed |= batch.status[i] == kPacketNotAuthentic;
  }
  // Node's own cryptography in this thread must not find what OpenSSL noted about a stranger's packet.
  if (has_failed) ERR_clear_error();
}

uint32_t EspEngine::ReleaseStale() {
  uint32_t released = 0;
  for (uint32_t slot = 0; slot < contexts_.size(); slot++) {
    if (contexts_[slot] == nullptr || contexts_[slot]->version() == keys_->Version(slot)) continue;
    contexts_[slot].reset();
    released++;
  }
  return released;
}

namespace {

napi_value CreateEngine(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  State& state = State::Of(env);
  Find(args, state.memories, 0);
  Find(args, state.key_stores, 1);
  if (!args.ok()) return nullptr;
  auto engine = std::make_shared<EspEngine>();
  if (!engine->Attach(state.memories.Share(args.Uint32(0)), state.key_stores.Share(args.Uint32(1))))
    return Number(env, -EINVAL);
  return Number(env, state.engines.Add(std::move(engine)));
}

napi_value CloseEngine(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t handle = args.Uint32(0);
  if (args.ok()) State::Of(env).engines.Remove(handle);
  return nullptr;
}

template <void (EspEngine::*Work)(Batch&, uint32_t)>
napi_value Crypt(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  EspEngine* engine = Find(args, State::Of(env).engines, 0);
  Batch* batch = FindBatch(args, 1);
  const uint32_t count = BatchCount(args, batch, 2);
  if (args.ok()) (engine->*Work)(*batch, count);
  return nullptr;
}

napi_value ReleaseStaleContexts(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  EspEngine* engine = Find(args, State::Of(env).engines, 0);
  if (!args.ok()) return nullptr;
  return Number(env, engine->ReleaseStale());
}

}  // namespace

void DefineEspEngine(napi_env env, napi_value exports) {
  Define(env, exports, "createEngine", CreateEngine);
  Define(env, exports, "closeEngine", CloseEngine);
  Define(env, exports, "seal", Crypt<&EspEngine::Seal>);
  Define(env, exports, "open", Crypt<&EspEngine::Open>);
  Define(env, exports, "releaseStaleContexts", ReleaseStaleContexts);
}

}  // namespace tungate
