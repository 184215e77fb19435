// Opens sockets for ESP without UDP: IP protocol 50.
#include <netinet/in.h>

#include "napi_args.h"
#include "socket_options.h"
#include "state.h"

namespace tungate {

namespace {

napi_value OpenRaw(napi_env env, napi_callback_info info) {
  Args args(env, info, 6);
  SocketOptions options;
  options.family = FamilyOf(args, 0);
  options.address = args.Uint8Array(1);
  options.mark = args.Uint32(2);
  options.flags = args.Uint32(3);
  options.mtu_discovery = args.Uint32(4);
  options.buffer_octets = args.Uint32(5);
  if (!args.ok()) return nullptr;
  return Number(env, OpenSocket(SOCK_RAW, IPPROTO_ESP, options));
}

}  // namespace

void DefineRaw(napi_env env, napi_value exports) { Define(env, exports, "openRaw", OpenRaw); }

}  // namespace tungate
