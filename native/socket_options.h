// What UDP and raw sockets have in common: options, addresses, and binding.
#ifndef TUNGATE_SOCKET_OPTIONS_H
#define TUNGATE_SOCKET_OPTIONS_H

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "napi_args.h"
#include "send_lock.h"

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

// While it lives, a probing socket leaves DF clear and lets its packets be fragmented, and no other thread sends on it.
class FragmentsAllowed {
 public:
  FragmentsAllowed(int fd, int family);
  ~FragmentsAllowed();
  FragmentsAllowed(const FragmentsAllowed&) = delete;
  FragmentsAllowed& operator=(const FragmentsAllowed&) = delete;

  // False where fragments were allowed already.
  bool has_changed() const { return has_changed_; }

 private:
  const std::lock_guard<SendLock> alone_;
  const int fd_;
  const int family_;
  bool has_changed_ = false;
};

}  // namespace tungate

#endif
