// What UDP and raw sockets have in common: options, addresses, and binding.
#ifndef TUNGATE_SOCKET_OPTIONS_H
#define TUNGATE_SOCKET_OPTIONS_H

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "napi_args.h"

namespace tungate {

// Bits of `flags` and values of `mtu_discovery`, as src/io/native-socket.ts has them.
constexpr uint32_t kSocketReusePort = 1;
constexpr uint32_t kSocketMergeReceived = 2;
constexpr uint32_t kMtuAllowFragments = 0;
constexpr uint32_t kMtuProbe = 1;

struct SocketOptions {
  int family = 0;
  // 4 or 16 octets, or none for every address.
  Octets address;
  uint16_t port = 0;
  uint32_t mark = 0;
  uint32_t flags = 0;
  uint32_t mtu_discovery = 0;
  uint32_t buffer_octets = 0;
};

// AF_INET or AF_INET6 for 4 or 6; throws otherwise.
int FamilyOf(Args& args, size_t i);

// The address of `octets` and `port`; its length, or 0 when the octets are of the other family. None is any address.
socklen_t SocketAddress(int family, const Octets& octets, uint16_t port, sockaddr_storage* address);

// A non-blocking socket, bound; or -errno.
int OpenSocket(int type, int protocol, const SocketOptions& options);

// DF on all packets without regard to the kernel's path MTU cache, or off with local fragmentation. 0 or -errno.
int SetMtuDiscovery(int fd, int family, uint32_t mtu_discovery);

// Makes one call while a probing socket lets its packets be fragmented. DF belongs to the socket: a packet that another
// thread sends meanwhile may be fragmented too, which harms nothing. -EMSGSIZE where fragments were allowed already.
using FragmentedCall = int (*)(void* argument);
int FragmentOnce(int fd, int family, FragmentedCall call, void* argument);

}  // namespace tungate

#endif
