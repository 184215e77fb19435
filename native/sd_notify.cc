// Messages to the service manager's datagram socket, with descriptors for it to keep.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "napi_args.h"
#include "state.h"

namespace tungate {

namespace {

// The kernel's limit (SCM_MAX_FD).
constexpr size_t kFdsMax = 253;
constexpr size_t kMessageMax = 4096;
// A message with descriptors must not get lost because the manager is busy; one without may.
constexpr time_t kSendSeconds = 2;
constexpr double kBarrierMsMax = 60'000;

// 0 or -errno.
int Notify(const char* path, size_t path_length, const char* message, size_t message_length, const int32_t* fds,
           size_t fd_count) {
  sockaddr_un address = {};
  if (path_length < 2 || path_length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
    return -EINVAL;
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path, path_length);
  socklen_t address_length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_length);
  if (path[0] == '@')
    address.sun_path[0] = 0;
  else
    address_length++;

  alignas(cmsghdr) uint8_t control[CMSG_SPACE(kFdsMax * sizeof(int))] = {};
  iovec part = {const_cast<char*>(message), message_length};
  msghdr header = {};
  header.msg_name = &address;
  header.msg_namelen = address_length;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd_count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
  }
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | (fd_count > 0 ? 0 : SOCK_NONBLOCK), 0);
  if (fd < 0) return -errno;
  const timeval patience = {kSendSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const int result = sendmsg(fd, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
  close(fd);
  return result;
}

napi_value NotifyCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  char path[sizeof(sockaddr_un::sun_path)];
  char message[kMessageMax];
  size_t fd_count = 0;
  const size_t path_length = args.String(0, path, sizeof path);
  const size_t message_length = args.String(1, message, sizeof message);
  const int32_t* fds = args.Int32Array(2, &fd_count);
  if (args.ok() && fd_count > kFdsMax) args.RangeError("too many descriptors for one message");
  if (!args.ok()) return nullptr;
  return Number(env, Notify(path, path_length, message, message_length, fds, fd_count));
}

// Until the manager has read all messages before this one: it closes the descriptor that comes with it.
int Barrier(const char* path, size_t path_length, int milliseconds) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  const char message[] = "BARRIER=1";
  int result = Notify(path, path_length, message, sizeof message - 1, &ends[1], 1);
  close(ends[1]);
  if (result == 0) {
    pollfd wait = {ends[0], 0, 0};
    int ready = 0;
    do ready = poll(&wait, 1, milliseconds);
    while (ready < 0 && errno == EINTR);
    result = ready < 0 ? -errno : ready == 0 ? -ETIMEDOUT : 0;
  }
  close(ends[0]);
  return result;
}

napi_value BarrierCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  char path[sizeof(sockaddr_un::sun_path)];
  const size_t path_length = args.String(0, path, sizeof path);
  const double milliseconds = args.Double(1);
  if (args.ok() && !(milliseconds >= 0 && milliseconds <= kBarrierMsMax))
    args.RangeError("a barrier waits a minute at most");
  if (!args.ok()) return nullptr;
  return Number(env, Barrier(path, path_length, static_cast<int>(milliseconds)));
}

}  // namespace

void DefineSdNotify(napi_env env, napi_value exports) {
  Define(env, exports, "notify", NotifyCall);
  Define(env, exports, "notifyBarrier", BarrierCall);
}

}  // namespace tungate
