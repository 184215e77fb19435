// Registers packet batches: checks every array once and keeps its memory alive.
#include "batch.h"

#include "napi_args.h"
#include "packet_io.h"
#include "state.h"

namespace tungate {

Batch::Batch(napi_env owner) : env(owner) {}

Batch::~Batch() {
  for (napi_ref buffer : buffers) napi_delete_reference(env, buffer);
}

bool Batch::IsAttached(napi_env current) const {
  for (napi_ref reference : buffers) {
    napi_value buffer = nullptr;
    bool is_detached = true;
    if (napi_get_reference_value(current, reference, &buffer) != napi_ok || buffer == nullptr) return false;
    if (napi_is_detached_arraybuffer(current, buffer, &is_detached) != napi_ok || is_detached) return false;
  }
  return true;
}

namespace {

class Registration {
 public:
  Registration(Args& args, Batch& batch) : args_(args), env_(args.env()), batch_(batch), object_(args.value(0)) {}

  uint32_t Count(const char* name) {
    napi_value value = nullptr;
    double number = -1;
    if (napi_get_named_property(env_, object_, name, &value) != napi_ok ||
        napi_get_value_double(env_, value, &number) != napi_ok || !(number >= 0 && number <= UINT32_MAX))
      args_.TypeError("the batch lacks one of its counts");
    return number >= 0 && number <= UINT32_MAX ? static_cast<uint32_t>(number) : 0;
  }

  bool Has(const char* name) {
    bool has = false;
    return napi_has_named_property(env_, object_, name, &has) == napi_ok && has;
  }

  // At least `elements` of them; `actual_elements` when it is wanted how many there are.
  template <typename T>
  T* Array(const char* name, napi_typedarray_type type, size_t elements, size_t* actual_elements = nullptr) {
    napi_value array = nullptr;
    napi_value buffer = nullptr;
    napi_typedarray_type actual;
    bool is_typed_array = false;
    bool is_array_buffer = false;
    size_t count = 0;
    void* data = nullptr;
    if (!args_.ok()) return nullptr;
    if (napi_get_named_property(env_, object_, name, &array) != napi_ok ||
        napi_is_typedarray(env_, array, &is_typed_array) != napi_ok || !is_typed_array ||
        napi_get_typedarray_info(env_, array, &actual, &count, &data, &buffer, nullptr) != napi_ok ||
        napi_is_arraybuffer(env_, buffer, &is_array_buffer) != napi_ok || !is_array_buffer || actual != type) {
      args_.TypeError("the batch lacks one of its arrays");
      return nullptr;
    }
    if (count < elements || data == nullptr) {
      args_.RangeError("an array of the batch is too short");
      return nullptr;
    }
    Keep(buffer);
    if (actual_elements != nullptr) *actual_elements = count;
    return static_cast<T*>(data);
  }

 private:
  void Keep(napi_value buffer) {
    napi_value property = nullptr;
    bool is_resizable = false;
    if (napi_get_named_property(env_, buffer, "resizable", &property) == napi_ok)
      napi_get_value_bool(env_, property, &is_resizable);
    if (is_resizable) return args_.RangeError("the memory of a batch may not be resizable");
    for (napi_ref known : batch_.buffers) {
      napi_value other = nullptr;
      bool is_same = false;
      if (napi_get_reference_value(env_, known, &other) == napi_ok && other != nullptr &&
          napi_strict_equals(env_, buffer, other, &is_same) == napi_ok && is_same)
        return;
    }
    napi_ref reference = nullptr;
    if (napi_create_reference(env_, buffer, 1, &reference) != napi_ok)
      return args_.TypeError("an array of the batch cannot be kept");
    batch_.buffers.push_back(reference);
  }

  Args& args_;
  napi_env env_;
  Batch& batch_;
  napi_value object_;
};

void RegisterFrames(Registration& from, Batch& batch) {
  FrameColumns& frames = batch.frames;
  const size_t capacity = batch.capacity;
  frames.kind = from.Array<uint8_t>("kind", napi_uint8_array, capacity);
  frames.segment_length = from.Array<uint16_t>("segmentLength", napi_uint16_array, capacity);
  frames.segments = from.Array<uint16_t>("segments", napi_uint16_array, capacity);
  frames.packet_length = from.Array<uint32_t>("packetLength", napi_uint32_array, capacity);
  frames.next_header = from.Array<uint8_t>("nextHeader", napi_uint8_array, capacity);
  frames.strip = from.Array<uint8_t>("strip", napi_uint8_array, capacity);
  frames.pad_to = from.Array<uint16_t>("padTo", napi_uint16_array, capacity);
  frames.sealed = from.Array<uint16_t>("sealed", napi_uint16_array, capacity);
  frames.cursor = from.Array<uint32_t>("cursor", napi_uint32_array, 2);
}

napi_value RegisterBatch(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  if (!args.ok()) return nullptr;
  auto batch = std::make_shared<Batch>(env);
  Registration from(args, *batch);
  batch->capacity = from.Count("capacity");
  if (args.ok() && (batch->capacity < 1 || batch->capacity > kBatchCapacityMax))
    args.RangeError("the batch has a capacity that cannot be used");
  const size_t capacity = batch->capacity;
  batch->bytes = from.Array<uint8_t>("bytes", napi_uint8_array, 1, &batch->octets);
  if (args.ok() && batch->octets > kArenaOctetsMax) args.RangeError("the batch has an arena that is too large");
  batch->offset = from.Array<uint32_t>("offset", napi_uint32_array, capacity);
  batch->length = from.Array<uint32_t>("length", napi_uint32_array, capacity);
  batch->slot = from.Array<uint32_t>("slot", napi_uint32_array, capacity);
  batch->endpoint = from.Array<uint32_t>("endpoint", napi_uint32_array, capacity);
  batch->sequence_high = from.Array<uint32_t>("sequenceHigh", napi_uint32_array, capacity);
  batch->frame = from.Array<uint32_t>("frame", napi_uint32_array, capacity);
  batch->tos = from.Array<uint8_t>("tos", napi_uint8_array, capacity);
  batch->status = from.Array<uint8_t>("status", napi_uint8_array, capacity);
  batch->meta = from.Array<uint8_t>("meta", napi_uint8_array, capacity * kMetaStride);
  if (args.ok() && from.Has("kind")) RegisterFrames(from, *batch);
  if (!args.ok()) return nullptr;
  return Number(env, State::Of(env).batches.Add(std::move(batch)));
}

napi_value ReleaseBatch(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t handle = args.Uint32(0);
  if (args.ok()) State::Of(env).batches.Remove(handle);
  return nullptr;
}

}  // namespace

void DefineBatch(napi_env env, napi_value exports) {
  Define(env, exports, "registerBatch", RegisterBatch);
  Define(env, exports, "releaseBatch", ReleaseBatch);
}

}  // namespace tungate
