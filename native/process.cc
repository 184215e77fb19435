// The boot clock, keeping the process's memory out of dumps, and file locks that end with the process.
#include <sys/socket.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include <cerrno>

#include "napi_args.h"
#include "state.h"

namespace tungate {

namespace {

napi_value BootTime(napi_env env, napi_callback_info) {
  timespec now = {};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Number(env, static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6);
}

napi_value ForbidDumps(napi_env env, napi_callback_info) {
  const rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return Number(env, -errno);
  return Number(env, 0);
}

napi_value LockFile(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  return Number(env, flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0);
}

napi_value PeerCredentials(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return Number(env, -errno);
  napi_value result;
  if (napi_create_object(env, &result) != napi_ok) return nullptr;
  SetProperty(env, result, "pid", Number(env, credentials.pid));
  SetProperty(env, result, "uid", Number(env, credentials.uid));
  return result;
}

}  // namespace

void DefineProcess(napi_env env, napi_value exports) {
  Define(env, exports, "bootTime", BootTime);
  Define(env, exports, "forbidDumps", ForbidDumps);
  Define(env, exports, "lockFile", LockFile);
  Define(env, exports, "peerCredentials", PeerCredentials);
}

}  // namespace tungate
