// The boot clock, and keeping the process's memory out of dumps.
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

}  // namespace

void DefineProcess(napi_env env, napi_value exports) {
  Define(env, exports, "bootTime", BootTime);
  Define(env, exports, "forbidDumps", ForbidDumps);
}

}  // namespace tungate
