// Opens sockets for ESP and AH, which are IP protocols, and for whole IP packets, which are only sent.
#include <netinet/in.h>

#include "napi_args.h"
#include "socket_options.h"
#include "state.h"

namespace tungate {

namespace {

// ESP, AH, and IPPROTO_RAW, which takes packets with their IP headers and receives nothing.
bool IsOurs(uint32_t protocol) {
  return protocol == IPPROTO_ESP || protocol == IPPROTO_AH || protocol == IPPROTO_RAW;
}

napi_value OpenRaw(napi_env env, napi_callback_info info) {
  Args args(env, info, 7);
  SocketOptions options;
  options.family = FamilyOf(args, 0);
  options.address = args.Uint8Array(1);
  options.mark = args.Uint32(2);
  options.flags = args.Uint32(3);
  options.mtu_discovery = args.Uint32(4);
  options.buffer_octets = args.Uint32(5);
  const uint32_t protocol = args.Uint32(6);
  if (args.ok() && !IsOurs(protocol)) args.RangeError("a raw socket is for IP protocol 50, 51 or 255");
  if (!args.ok()) return nullptr;
  return Number(env, OpenSocket(SOCK_RAW, static_cast<int>(protocol), options));
}

}  // namespace

void DefineRaw(napi_env env, napi_value exports) { Define(env, exports, "openRaw", OpenRaw); }

}  // namespace tungate
