// Implements the wait and its wake-up.
#include "wait.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "napi_args.h"
#include "state.h"

namespace tungate {

namespace {

constexpr size_t kWaitFdsMax = 1024;

}  // namespace

void Waiter::NoteTime() {
  timespec now = {};
  clock_gettime(CLOCK_BOOTTIME, &now);
  times[1] = static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

int Waiter::Wait() {
  const double timeout_ms = times[0];
  const double bounded = timeout_ms > kWaitMsMax ? kWaitMsMax : timeout_ms > 0 ? timeout_ms : 0;
  const int64_t nanoseconds = static_cast<int64_t>(bounded * 1e6);
  const timespec timeout = {static_cast<time_t>(nanoseconds / 1000000000), static_cast<long>(nanoseconds % 1000000000)};
  const int count = ppoll(fds.data(), fds.size(), &timeout, nullptr);
  const int error = errno;
  NoteTime();
  for (size_t i = 0; i < fds.size(); i++) {
    const short events = count > 0 ? fds[i].revents : 0;
    ready[i] = static_cast<uint8_t>(((events & POLLIN) != 0 ? kReadyRead : 0) |
                                    ((events & (POLLERR | POLLHUP | POLLNVAL)) != 0 ? kReadyError : 0));
  }
  if (count < 0) return error == EINTR ? 0 : -error;
  if (ready.back() != 0) {
    uint64_t wakes;
    (void)!read(fds.back().fd, &wakes, sizeof wakes);
  }
  return count;
}

namespace {

napi_value CreateWake(napi_env env, napi_callback_info) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return Number(env, fd < 0 ? -errno : fd);
}

napi_value Wake(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  const uint64_t one = 1;
  // A counter that is full wakes as well.
  return Number(env, write(fd, &one, sizeof one) < 0 && errno != EAGAIN ? -errno : 0);
}

napi_value CreateWaiter(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  size_t count = 0;
  const int32_t* fds = args.Int32Array(0, &count);
  const int wake = args.Int32(1);
  if (args.ok() && count > kWaitFdsMax) args.RangeError("too many descriptors to wait for");
  if (!args.ok()) return nullptr;
  auto waiter = std::make_shared<Waiter>();
  for (size_t i = 0; i < count; i++) waiter->fds.push_back({fds[i], POLLIN, 0});
  waiter->fds.push_back({wake, POLLIN, 0});
  waiter->ready.resize(waiter->fds.size());
  napi_value buffer = ArrayBufferOver(env, waiter, waiter->ready.data(), waiter->ready.size());
  if (buffer == nullptr) return nullptr;
  napi_value times_buffer = ArrayBufferOver(env, waiter, waiter->times.data(), sizeof waiter->times);
  if (times_buffer == nullptr) return nullptr;
  waiter->NoteTime();
  napi_value ready = nullptr;
  napi_value times = nullptr;
  napi_value result = nullptr;
  napi_create_typedarray(env, napi_uint8_array, waiter->ready.size(), buffer, 0, &ready);
  napi_create_typedarray(env, napi_float64_array, waiter->times.size(), times_buffer, 0, &times);
  napi_create_object(env, &result);
  SetProperty(env, result, "ready", ready);
  SetProperty(env, result, "times", times);
  SetProperty(env, result, "handle", Number(env, State::Of(env).waiters.Add(std::move(waiter))));
  return result;
}

napi_value CloseWaiter(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t handle = args.Uint32(0);
  if (args.ok()) State::Of(env).waiters.Remove(handle);
  return nullptr;
}

napi_value Wait(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  Waiter* waiter = Find(args, State::Of(env).waiters, 0);
  if (!args.ok()) return nullptr;
  return Number(env, waiter->Wait());
}

}  // namespace

void DefineWait(napi_env env, napi_value exports) {
  Define(env, exports, "createWake", CreateWake);
  Define(env, exports, "wake", Wake);
  Define(env, exports, "createWaiter", CreateWaiter);
  Define(env, exports, "closeWaiter", CloseWaiter);
  Define(env, exports, "wait", Wait);
}

}  // namespace tungate
