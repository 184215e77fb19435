// Arguments of a call checked one by one, and results; the first wrong argument throws and the rest read as zero.
#ifndef TUNGATE_NAPI_ARGS_H
#define TUNGATE_NAPI_ARGS_H

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tungate {

struct Octets {
  uint8_t* data = nullptr;
  size_t size = 0;
};

class Args {
 public:
  static constexpr size_t kMost = 8;

  Args(napi_env env, napi_callback_info info, size_t expected);

  // False once an exception is pending: return at once.
  bool ok() const { return ok_; }
  napi_env env() const { return env_; }
  napi_value value(size_t i) const { return values_[i]; }

  int32_t Int32(size_t i);
  uint32_t Uint32(size_t i);
  double Double(size_t i);
  bool Bool(size_t i);
  Octets Uint8Array(size_t i);
  // The elements, valid until the call returns.
  const int32_t* Int32Array(size_t i, size_t* count);
  const uint32_t* Uint32Array(size_t i, size_t* count);
  double* Float64Array(size_t i, size_t* count);
  // UTF-8 into `buffer`, terminated; throws when it does not fit or holds a zero octet. Returns its length.
  size_t String(size_t i, char* buffer, size_t size);

  void TypeError(const char* message);
  void RangeError(const char* message);

 private:
  void* TypedArray(size_t i, napi_typedarray_type type, size_t* count);

  napi_env env_;
  napi_value values_[kMost];
  bool ok_ = true;
};

napi_value Undefined(napi_env env);
napi_value Number(napi_env env, double value);
napi_value Text(napi_env env, const char* text);
void SetProperty(napi_env env, napi_value object, const char* name, napi_value value);

// An ArrayBuffer over memory that lives as long as it, and as `owner` does otherwise. Null with an exception pending.
napi_value ArrayBufferOver(napi_env env, std::shared_ptr<void> owner, void* data, size_t size);

}  // namespace tungate

#endif
