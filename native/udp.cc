// Opens UDP sockets, and sends the main thread's single datagrams.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <shared_mutex>

#include "control_message.h"
#include "napi_args.h"
#include "send_lock.h"
#include "socket_options.h"
#include "state.h"

namespace tungate {

namespace {

// Bits of the result of udpOffloads, as src/io/native-socket.ts has them.
constexpr int kUdpSendsRuns = 1;
constexpr int kUdpReceivesRuns = 2;
// Datagrams that every path carries whole; longer ones may meet a path that does not (RFC 791, RFC 8200 section 5).
constexpr size_t kCarriedEverywhereV4 = 576 - 28;
constexpr size_t kCarriedEverywhereV6 = 1280 - 48;

uint16_t Port(Args& args, size_t i) {
  const uint32_t port = args.Uint32(i);
  if (port > UINT16_MAX) args.RangeError("a port is at most 65535");
  return static_cast<uint16_t>(port);
}

napi_value OpenUdp(napi_env env, napi_callback_info info) {
  Args args(env, info, 7);
  SocketOptions options;
  options.family = FamilyOf(args, 0);
  options.address = args.Uint8Array(1);
  options.port = Port(args, 2);
  options.mark = args.Uint32(3);
  options.flags = args.Uint32(4);
  options.mtu_discovery = args.Uint32(5);
  options.buffer_octets = args.Uint32(6);
  if (!args.ok()) return nullptr;
  return Number(env, OpenSocket(SOCK_DGRAM, IPPROTO_UDP, options));
}

napi_value LocalPort(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  sockaddr_storage address;
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0) return Number(env, -errno);
  if (address.ss_family == AF_INET)
    return Number(env, ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port));
  if (address.ss_family == AF_INET6)
    return Number(env, ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port));
  return Number(env, -EAFNOSUPPORT);
}

napi_value UdpOffloads(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  int segment = 0;
  int merges = 0;
  socklen_t length = sizeof segment;
  const bool sends_runs = getsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, &length) == 0;
  length = sizeof merges;
  const bool receives_runs = getsockopt(fd, SOL_UDP, UDP_GRO, &merges, &length) == 0 && merges != 0;
  return Number(env, (sends_runs ? kUdpSendsRuns : 0) | (receives_runs ? kUdpReceivesRuns : 0));
}

// An ICMP error of an earlier datagram is reported once on the next call; so one more try tells the two apart.
int SendOnce(int fd, const msghdr& header) {
  int error = 0;
  for (int attempt = 0; attempt < 2; attempt++) {
    if (sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    error = errno;
    if (!IsErrorOfAnother(error) && error != EINTR) break;
  }
  return -error;
}

napi_value SendDatagram(napi_env env, napi_callback_info info) {
  Args args(env, info, 8);
  const int fd = args.Int32(0);
  const int family = FamilyOf(args, 1);
  const Octets payload = args.Uint8Array(2);
  const Octets remote = args.Uint8Array(3);
  const uint16_t port = Port(args, 4);
  const Octets local = args.Uint8Array(5);
  const uint32_t tos = args.Uint32(6);
  const bool is_whole = args.Bool(7);
  if (args.ok() && tos > 255) args.RangeError("a traffic class is one octet");
  if (!args.ok()) return nullptr;
  sockaddr_storage address;
  const socklen_t length = SocketAddress(family, remote, port, &address);
  const size_t address_octets = family == AF_INET ? 4 : 16;
  if (length == 0 || remote.size == 0 || (local.size != 0 && local.size != address_octets))
    return Number(env, -EAFNOSUPPORT);

  SendControl control;
  iovec part = {payload.data, payload.size};
  msghdr header = {};
  header.msg_name = &address;
  header.msg_namelen = length;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  control.Write(&header, family, local.size == 0 ? nullptr : local.data, static_cast<uint8_t>(tos));
  const size_t carried = family == AF_INET ? kCarriedEverywhereV4 : kCarriedEverywhereV6;
  if (is_whole || payload.size <= carried) {
    const std::shared_lock<SendLock> lock(SendLock::Of(fd));
    return Number(env, SendOnce(fd, header));
  }
  const FragmentsAllowed allowed(fd, family);
  return Number(env, SendOnce(fd, header));
}

napi_value CloseFd(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  return Number(env, close(fd) < 0 ? -errno : 0);
}

napi_value SetCloseOnExec(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  return Number(env, fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0);
}

}  // namespace

void DefineUdp(napi_env env, napi_value exports) {
  Define(env, exports, "openUdp", OpenUdp);
  Define(env, exports, "localPort", LocalPort);
  Define(env, exports, "udpOffloads", UdpOffloads);
  Define(env, exports, "sendDatagram", SendDatagram);
  Define(env, exports, "closeFd", CloseFd);
  Define(env, exports, "setCloseOnExec", SetCloseOnExec);
}

}  // namespace tungate
