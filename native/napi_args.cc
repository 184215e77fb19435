// Implements the argument checks.
#include "napi_args.h"

#include <cstring>
#include <utility>

namespace tungate {

Args::Args(napi_env env, napi_callback_info info, size_t expected) : env_(env) {
  size_t count = kMost;
  if (napi_get_cb_info(env, info, &count, values_, nullptr, nullptr) != napi_ok || count < expected)
    TypeError("too few arguments");
}

void Args::TypeError(const char* message) {
  if (ok_) napi_throw_type_error(env_, nullptr, message);
  ok_ = false;
}

void Args::RangeError(const char* message) {
  if (ok_) napi_throw_range_error(env_, nullptr, message);
  ok_ = false;
}

double Args::Double(size_t i) {
  double value = 0;
  if (ok_ && napi_get_value_double(env_, values_[i], &value) != napi_ok) TypeError("an argument is no number");
  return value;
}

int32_t Args::Int32(size_t i) {
  const double value = Double(i);
  if (!(value >= INT32_MIN && value <= INT32_MAX) || value != static_cast<int32_t>(value)) {
    RangeError("an argument is no 32-bit integer");
    return 0;
  }
  return static_cast<int32_t>(value);
}

uint32_t Args::Uint32(size_t i) {
  const double value = Double(i);
  if (!(value >= 0 && value <= UINT32_MAX) || value != static_cast<uint32_t>(value)) {
    RangeError("an argument is no unsigned 32-bit integer");
    return 0;
  }
  return static_cast<uint32_t>(value);
}

bool Args::Bool(size_t i) {
  bool value = false;
  if (ok_ && napi_get_value_bool(env_, values_[i], &value) != napi_ok) TypeError("an argument is no boolean");
  return value;
}

void* Args::TypedArray(size_t i, napi_typedarray_type type, size_t* count) {
  *count = 0;
  bool is_typed_array = false;
  napi_typedarray_type actual;
  void* data = nullptr;
  if (!ok_) return nullptr;
  if (napi_is_typedarray(env_, values_[i], &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env_, values_[i], &actual, count, &data, nullptr, nullptr) != napi_ok ||
      actual != type) {
    TypeError("an argument is no typed array of the kind needed");
    *count = 0;
    return nullptr;
  }
  return data;
}

Octets Args::Uint8Array(size_t i) {
  Octets octets;
  octets.data = static_cast<uint8_t*>(TypedArray(i, napi_uint8_array, &octets.size));
  return octets;
}

const int32_t* Args::Int32Array(size_t i, size_t* count) {
  return static_cast<const int32_t*>(TypedArray(i, napi_int32_array, count));
}

const uint32_t* Args::Uint32Array(size_t i, size_t* count) {
  return static_cast<const uint32_t*>(TypedArray(i, napi_uint32_array, count));
}

double* Args::Float64Array(size_t i, size_t* count) {
  return static_cast<double*>(TypedArray(i, napi_float64_array, count));
}

size_t Args::String(size_t i, char* buffer, size_t size) {
  size_t length = 0;
  buffer[0] = 0;
  if (!ok_) return 0;
  if (napi_get_value_string_utf8(env_, values_[i], nullptr, 0, &length) != napi_ok) {
    TypeError("an argument is no string");
    return 0;
  }
  if (length >= size) {
    RangeError("a string is too long");
    return 0;
  }
  napi_get_value_string_utf8(env_, values_[i], buffer, size, &length);
  if (memchr(buffer, 0, length) != nullptr) RangeError("a string holds a zero octet");
  return length;
}

napi_value Undefined(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

napi_value Number(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return value;
}

napi_value Text(napi_env env, const char* text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  return value;
}

void SetProperty(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

napi_value ArrayBufferOver(napi_env env, std::shared_ptr<void> owner, void* data, size_t size) {
  auto* keeper = new std::shared_ptr<void>(std::move(owner));
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, data, size,
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<void>*>(hint); }, keeper, &buffer);
  if (status == napi_ok) return buffer;
  delete keeper;
  napi_throw_error(env, nullptr, "this Node does not allow ArrayBuffers over shared memory");
  return nullptr;
}

}  // namespace tungate
