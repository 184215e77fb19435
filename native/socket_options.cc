// Implements the common part of the outer sockets.
#include "socket_options.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tungate {

namespace {

constexpr int kIpv6MtuMin = 1280;

int Set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

// The forced form goes past the host's limit but needs a privilege; less room only costs packets under load.
void SetBuffers(int fd, uint32_t octets) {
  const int value = octets > INT32_MAX / 2 ? INT32_MAX / 2 : static_cast<int>(octets);
  if (value == 0) return;
  if (Set(fd, SOL_SOCKET, SO_RCVBUFFORCE, value) < 0) Set(fd, SOL_SOCKET, SO_RCVBUF, value);
  if (Set(fd, SOL_SOCKET, SO_SNDBUFFORCE, value) < 0) Set(fd, SOL_SOCKET, SO_SNDBUF, value);
}

int Configure(int fd, int type, const SocketOptions& options) {
  int result = 0;
  const auto set = [&](int level, int option, int value) {
    if (result == 0) result = Set(fd, level, option, value);
  };
  // What ICMP says about packets waits in a queue of its own, where a lane takes it.
  if (options.family == AF_INET) {
    set(IPPROTO_IP, IP_RECVERR, 1);
    set(IPPROTO_IP, IP_PKTINFO, 1);
    set(IPPROTO_IP, IP_RECVTOS, 1);
  } else {
    // A raw IPv6 socket never gets IPv4, and refuses the option.
    if (type == SOCK_DGRAM) set(IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set(IPPROTO_IPV6, IPV6_RECVERR, 1);
    set(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set(IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
  }
  if ((options.flags & kSocketReusePort) != 0) set(SOL_SOCKET, SO_REUSEPORT, 1);
  if (options.mark != 0) set(SOL_SOCKET, SO_MARK, static_cast<int>(options.mark));
  if (result == 0) result = SetMtuDiscovery(fd, options.family, options.mtu_discovery);
  // Best effort: without it every datagram comes by itself.
  if ((options.flags & kSocketMergeReceived) != 0) Set(fd, SOL_UDP, UDP_GRO, 1);
  SetBuffers(fd, options.buffer_octets);
  return result;
}

}  // namespace

int FamilyOf(Args& args, size_t i) {
  const uint32_t family = args.Uint32(i);
  if (args.ok() && family != 4 && family != 6) args.RangeError("an IP family is 4 or 6");
  return family == 4 ? AF_INET : AF_INET6;
}

socklen_t SocketAddress(int family, const Octets& octets, uint16_t port, sockaddr_storage* address) {
  memset(address, 0, sizeof *address);
  if (family == AF_INET) {
    auto* to = reinterpret_cast<sockaddr_in*>(address);
    if (octets.size != 0 && octets.size != 4) return 0;
    to->sin_family = AF_INET;
    to->sin_port = htons(port);
    if (octets.size == 4) memcpy(&to->sin_addr, octets.data, 4);
    return sizeof *to;
  }
  auto* to = reinterpret_cast<sockaddr_in6*>(address);
  if (octets.size != 0 && octets.size != 16) return 0;
  to->sin6_family = AF_INET6;
  to->sin6_port = htons(port);
  if (octets.size == 16) memcpy(&to->sin6_addr, octets.data, 16);
  return sizeof *to;
}

int SetMtuDiscovery(int fd, int family, uint32_t mtu_discovery) {
  const bool probes = mtu_discovery == kMtuProbe;
  if (family == AF_INET) return Set(fd, IPPROTO_IP, IP_MTU_DISCOVER, probes ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
  const int result =
      Set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, probes ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT);
  if (result < 0) return result;
  // No router fragments IPv6: what is cut here is cut so that every path carries it (RFC 8200 section 5).
  Set(fd, IPPROTO_IPV6, IPV6_MTU, probes ? 0 : kIpv6MtuMin);
  return Set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, probes ? 1 : 0);
}

FragmentsAllowed::FragmentsAllowed(int fd, int family) : alone_(SendLock::Of(fd)), fd_(fd), family_(family) {
  const int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  const int option = family == AF_INET ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;
  const int probe = family == AF_INET ? IP_PMTUDISC_PROBE : IPV6_PMTUDISC_PROBE;
  int mode = 0;
  socklen_t length = sizeof mode;
  if (getsockopt(fd, level, option, &mode, &length) < 0 || mode != probe) return;
  has_changed_ = SetMtuDiscovery(fd, family, kMtuAllowFragments) == 0;
}

FragmentsAllowed::~FragmentsAllowed() {
  if (has_changed_) SetMtuDiscovery(fd_, family_, kMtuProbe);
}

int OpenSocket(int type, int protocol, const SocketOptions& options) {
  sockaddr_storage address;
  const socklen_t length = SocketAddress(options.family, options.address, options.port, &address);
  if (length == 0) return -EAFNOSUPPORT;
  const int fd = socket(options.family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -errno;
  int result = Configure(fd, type, options);
  if (result == 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), length) < 0) result = -errno;
  if (result == 0) return fd;
  close(fd);
  return result;
}

}  // namespace tungate
