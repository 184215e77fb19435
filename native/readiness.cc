// Implements the watch with a poll handle of Node's event loop.
#include "readiness.h"

#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "napi_args.h"
#include "state.h"

namespace tungate {

// What the event loop holds on to, which is longer than the owner does.
struct Readiness::Watched {
  Readiness* owner = nullptr;
  napi_env env = nullptr;
  napi_ref callback = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  // A descriptor of our own: the loop aborts the process when one that it watches was closed behind its back.
  int fd = -1;
  uv_poll_t poll = {};

  void Close() {
    owner->watched_ = nullptr;
    napi_delete_reference(env, callback);
    uv_close(reinterpret_cast<uv_handle_t*>(&poll), [](uv_handle_t* handle) {
      auto* watched = static_cast<Watched*>(handle->data);
      close(watched->fd);
      // Where the environment ends, it has waited for this.
      napi_remove_async_cleanup_hook(watched->hook);
      delete watched;
    });
  }

  // The status says nothing that reading does not: an error that waits at a socket is reported as EBADF.
  static void OnReady(uv_poll_t* poll, int, int) {
    uv_poll_stop(poll);
    static_cast<const Watched*>(poll->data)->Call();
  }

  void Call() const {
    napi_handle_scope scope = nullptr;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return;
    napi_value function = nullptr;
    napi_value global = nullptr;
    napi_get_reference_value(env, callback, &function);
    napi_get_global(env, &global);
    // What the function throws becomes an uncaught exception as of any other callback. An environment that ends calls nothing.
    napi_value error = nullptr;
    if (napi_make_callback(env, nullptr, global, function, 0, nullptr, nullptr) == napi_pending_exception &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok)
      napi_fatal_exception(env, error);
    napi_close_handle_scope(env, scope);
  }
};

int Readiness::Open(napi_env env, int fd, napi_value callback) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -ENOTSUP;
  auto watched = std::make_unique<Watched>();
  watched->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (watched->fd < 0) return -errno;
  const int error = uv_poll_init(loop, &watched->poll, watched->fd);
  if (error < 0) {
    close(watched->fd);
    return error;
  }
  watched->poll.data = watched.get();
  watched->owner = this;
  watched->env = env;
  napi_create_reference(env, callback, 1, &watched->callback);
  napi_add_async_cleanup_hook(
      env, [](napi_async_cleanup_hook_handle, void* data) { static_cast<Watched*>(data)->Close(); }, watched.get(),
      &watched->hook);
  watched_ = watched.release();
  return 0;
}

int Readiness::Arm() {
  return watched_ == nullptr ? -EBADF : uv_poll_start(&watched_->poll, UV_READABLE, Watched::OnReady);
}

Readiness::~Readiness() {
  if (watched_ != nullptr) watched_->Close();
}

namespace {

napi_value CreateReadiness(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  napi_valuetype type = napi_undefined;
  napi_typeof(env, args.value(1), &type);
  if (type != napi_function) args.TypeError("an argument is no function");
  if (!args.ok()) return nullptr;
  auto readiness = std::make_shared<Readiness>();
  const int error = readiness->Open(env, fd, args.value(1));
  if (error < 0) return Number(env, error);
  return Number(env, State::Of(env).readinesses.Add(std::move(readiness)));
}

napi_value ArmReadiness(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  Readiness* readiness = Find(args, State::Of(env).readinesses, 0);
  if (!args.ok()) return nullptr;
  return Number(env, readiness->Arm());
}

napi_value CloseReadiness(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t handle = args.Uint32(0);
  if (args.ok()) State::Of(env).readinesses.Remove(handle);
  return nullptr;
}

}  // namespace

void DefineReadiness(napi_env env, napi_value exports) {
  Define(env, exports, "createReadiness", CreateReadiness);
  Define(env, exports, "armReadiness", ArmReadiness);
  Define(env, exports, "closeReadiness", CloseReadiness);
}

}  // namespace tungate
