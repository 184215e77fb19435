// Sockets that speak rtnetlink with the kernel: opened, written to and read; what the messages mean is not known here.
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "napi_args.h"
#include "state.h"

namespace tungate {

namespace {

// What a flood leaves in a queue of the usual size is a few hundred; the bound is for one that goes on meanwhile.
constexpr int kDrainMax = 4096;

int Open(uint32_t groups) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return -errno;
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  const auto* own = reinterpret_cast<const sockaddr*>(&address);
  if (bind(fd, own, sizeof address) == 0) {
    // Connected to the kernel: nobody else's messages arrive.
    address.nl_groups = 0;
    if (connect(fd, own, sizeof address) == 0) return fd;
  }
  const int error = errno;
  close(fd);
  return -error;
}

napi_value OpenNetlink(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t groups = args.Uint32(0);
  if (!args.ok()) return nullptr;
  return Number(env, Open(groups));
}

napi_value SendNetlink(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int fd = args.Int32(0);
  const Octets message = args.Uint8Array(1);
  if (!args.ok()) return nullptr;
  const ssize_t sent = send(fd, message.data, message.size, MSG_NOSIGNAL);
  return Number(env, sent < 0 ? -errno : static_cast<double>(sent));
}

napi_value ReceiveNetlink(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int fd = args.Int32(0);
  const Octets into = args.Uint8Array(1);
  if (!args.ok()) return nullptr;
  const ssize_t length = recv(fd, into.data, into.size, MSG_TRUNC | MSG_DONTWAIT);
  if (length < 0) return Number(env, -errno);
  return Number(env, static_cast<size_t>(length) > into.size ? -EMSGSIZE : static_cast<double>(length));
}

// Throws away what waits, an overrun (ENOBUFS) with it.
napi_value DrainNetlink(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  for (int i = 0; i < kDrainMax; i++) {
    if (recv(fd, nullptr, 0, MSG_TRUNC | MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR) continue;
    return Number(env, errno == EAGAIN ? 0 : -errno);
  }
  return Number(env, 0);
}

}  // namespace

void DefineNetlink(napi_env env, napi_value exports) {
  Define(env, exports, "openNetlink", OpenNetlink);
  Define(env, exports, "sendNetlink", SendNetlink);
  Define(env, exports, "receiveNetlink", ReceiveNetlink);
  Define(env, exports, "drainNetlink", DrainNetlink);
}

}  // namespace tungate
