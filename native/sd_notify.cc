// Messages to the service manager's datagram socket, with descriptors for it to keep.
#include <sys/socket.h>
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
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
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

}  // namespace

void DefineSdNotify(napi_env env, napi_value exports) { Define(env, exports, "notify", NotifyCall); }

}  // namespace tungate
