// What one environment (main thread or worker) owns in the addon; nothing is shared between environments but descriptors.
#ifndef TUNGATE_STATE_H
#define TUNGATE_STATE_H

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "batch.h"
#include "esp_engine.h"
#include "key_store.h"
#include "memfd.h"
#include "napi_args.h"
#include "packet_io.h"
#include "readiness.h"
#include "wait.h"

namespace tungate {

// Objects by number. A number is never given twice, so a late use of a closed one finds nothing.
template <typename T>
class HandleTable {
 public:
  uint32_t Add(std::shared_ptr<T> item) {
    items_.push_back(std::move(item));
    return static_cast<uint32_t>(items_.size() - 1);
  }
  T* Get(uint32_t handle) const { return handle < items_.size() ? items_[handle].get() : nullptr; }
  std::shared_ptr<T> Share(uint32_t handle) const {
    return handle < items_.size() ? items_[handle] : nullptr;
  }
  void Remove(uint32_t handle) {
    if (handle < items_.size()) items_[handle].reset();
  }

 private:
  std::vector<std::shared_ptr<T>> items_;
};

struct State {
  HandleTable<Mapping> memories;
  HandleTable<KeyStore> key_stores;
  HandleTable<Batch> batches;
  HandleTable<EspEngine> engines;
  HandleTable<PacketIo> packet_ios;
  HandleTable<Waiter> waiters;
  HandleTable<Readiness> readinesses;
  // Who does the cryptography of engines made here, before OpenSSL; null: nobody.
  const EspProvider* provider = nullptr;
  // And before the provider: our own code for VAES.
  bool uses_vaes = false;

  static State& Of(napi_env env) {
    void* data = nullptr;
    napi_get_instance_data(env, &data);
    return *static_cast<State*>(data);
  }
};

// The object that argument `i` names; throws when there is none.
template <typename T>
T* Find(Args& args, const HandleTable<T>& table, size_t i) {
  const uint32_t handle = args.Uint32(i);
  if (!args.ok()) return nullptr;
  T* found = table.Get(handle);
  if (found == nullptr) args.RangeError("a handle names nothing that is open");
  return found;
}

// The batch that argument `i` names, with its memory in place.
inline Batch* FindBatch(Args& args, size_t i) {
  Batch* batch = Find(args, State::Of(args.env()).batches, i);
  if (args.ok() && !batch->IsAttached(args.env())) args.TypeError("the memory of a batch was transferred away");
  return batch;
}

// The batch of frames that argument `i` names.
inline Batch* FindFrames(Args& args, size_t i) {
  Batch* batch = FindBatch(args, i);
  if (args.ok() && !batch->is_frames()) args.TypeError("this batch holds no frames");
  return batch;
}

// How many packets of the batch a call is about.
inline uint32_t BatchCount(Args& args, const Batch* batch, size_t i) {
  const uint32_t count = args.Uint32(i);
  if (args.ok() && count > batch->capacity) args.RangeError("a count is above the batch's capacity");
  return count;
}

using Callback = napi_value (*)(napi_env, napi_callback_info);

// Each file adds its functions to the exports.
void Define(napi_env env, napi_value exports, const char* name, Callback callback);
void DefineBatch(napi_env env, napi_value exports);
void DefineErrorQueue(napi_env env, napi_value exports);
void DefineEspEngine(napi_env env, napi_value exports);
void DefineKeyStore(napi_env env, napi_value exports);
void DefineMemfd(napi_env env, napi_value exports);
void DefineMlKem(napi_env env, napi_value exports);
void DefineMontgomery(napi_env env, napi_value exports);
void DefineNetlink(napi_env env, napi_value exports);
void DefinePacketIo(napi_env env, napi_value exports);
void DefinePrimitives(napi_env env, napi_value exports);
void DefineProcess(napi_env env, napi_value exports);
void DefineRaw(napi_env env, napi_value exports);
void DefineReadiness(napi_env env, napi_value exports);
void DefineSdNotify(napi_env env, napi_value exports);
void DefineSteering(napi_env env, napi_value exports);
void DefineTun(napi_env env, napi_value exports);
void DefineUdp(napi_env env, napi_value exports);
void DefineWait(napi_env env, napi_value exports);

}  // namespace tungate

#endif
