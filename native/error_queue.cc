// Hands up what ICMP and the host's own IP layer reported about a socket's packets, octet for octet and unread: it is
// a stranger's.
#include <ctime>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "error_queue.h"
#include "napi_args.h"
#include "state.h"

namespace tungate {

namespace {

using namespace error_report;

// Address and port of a socket address; the octets stay zero for other families.
void PutAddress(const sockaddr* address, uint8_t* octets, uint16_t* port) {
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    memcpy(&in, address, sizeof in);
    memcpy(octets, &in.sin_addr, 4);
    if (port != nullptr) *port = ntohs(in.sin_port);
  } else if (address->sa_family == AF_INET6) {
    sockaddr_in6 in;
    memcpy(&in, address, sizeof in);
    memcpy(octets, &in.sin6_addr, 16);
    if (port != nullptr) *port = ntohs(in.sin6_port);
  }
}

// The kernel's own words about the report; false when there are none.
bool PutError(msghdr& header, uint8_t* record) {
  for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr; message = CMSG_NXTHDR(&header, message)) {
    const bool is_v4 = message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_RECVERR;
    const bool is_v6 = message->cmsg_level == IPPROTO_IPV6 && message->cmsg_type == IPV6_RECVERR;
    if ((!is_v4 && !is_v6) || message->cmsg_len < CMSG_LEN(sizeof(sock_extended_err))) continue;
    sock_extended_err error;
    memcpy(&error, CMSG_DATA(message), sizeof error);
    record[kFamily] = is_v4 ? 4 : 6;
    record[kOrigin] = error.ee_origin;
    record[kType] = error.ee_type;
    record[kCode] = error.ee_code;
    memcpy(record + kInfo, &error.ee_info, 4);
    memcpy(record + kErrno, &error.ee_errno, 4);
    // The offender's address follows the error.
    const size_t needed = sizeof(sock_extended_err) + (is_v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (message->cmsg_len >= CMSG_LEN(needed)) {
      sockaddr_storage offender = {};
      memcpy(&offender, CMSG_DATA(message) + sizeof error, needed - sizeof error);
      PutAddress(reinterpret_cast<const sockaddr*>(&offender), record + kOffender, nullptr);
    }
    return true;
  }
  return false;
}

// One report of the queue; 1 when there was one, 0 when it is empty, or -errno.
int TakeReport(int fd, uint8_t* record) {
  memset(record, 0, kStride);
  sockaddr_storage remote = {};
  alignas(cmsghdr) uint8_t control[256];
  iovec part = {record + kQuoted, kQuotedMost};
  msghdr header = {};
  header.msg_name = &remote;
  header.msg_namelen = sizeof remote;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got;
  do got = recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
  const uint16_t quoted = static_cast<uint16_t>(std::min<size_t>(static_cast<size_t>(got), kQuotedMost));
  memcpy(record + kQuotedLength, &quoted, sizeof quoted);
  if (!PutError(header, record)) return 1;
  uint16_t port = 0;
  PutAddress(reinterpret_cast<const sockaddr*>(&remote), record + kRemote, &port);
  memcpy(record + kRemotePort, &port, sizeof port);
  return 1;
}

// As many reports as `into` has room for: their number, or -errno.
napi_value DrainErrorQueue(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int fd = args.Int32(0);
  const Octets into = args.Uint8Array(1);
  if (!args.ok()) return nullptr;
  const size_t room = into.size / kStride;
  size_t drained = 0;
  while (drained < room) {
    const int result = TakeReport(fd, into.data + drained * kStride);
    if (result < 0) return Number(env, result);
    if (result == 0) break;
    drained++;
  }
  return Number(env, static_cast<double>(drained));
}

}  // namespace

void DefineErrorQueue(napi_env env, napi_value exports) {
  Define(env, exports, "drainErrorQueue", DrainErrorQueue);
}

}  // namespace tungate
