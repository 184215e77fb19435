// Opens queues of a TUN device, or takes those that others opened: IP packets behind a virtio-net header, no other framing.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "napi_args.h"
#include "state.h"
#include "vnet_header.h"

namespace tungate {

namespace {

// The kernel's own limit (MAX_TAP_QUEUES).
constexpr uint32_t kQueuesMax = 256;
// Not in every system's header file.
constexpr unsigned long kUdpSuperpackets = 0x20 | 0x40;
constexpr unsigned long kTcpSuperpackets = TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
// Bits of what is wanted and of what was granted, as src/io/native-socket.ts has them.
constexpr uint32_t kTakesTcp = 1;
constexpr uint32_t kTakesUdp = 2;

// What of TUN_F_* these bits ask for.
unsigned long OffloadsOf(uint32_t takes) {
  const unsigned long offloads = ((takes & kTakesTcp) != 0 ? kTcpSuperpackets : 0) |
                                 ((takes & kTakesUdp) != 0 ? kUdpSuperpackets : 0);
  return offloads == 0 ? 0 : offloads | TUN_F_CSUM;
}

uint32_t TakenOf(unsigned long offloads) {
  return ((offloads & kTcpSuperpackets) != 0 ? kTakesTcp : 0) |
         ((offloads & kUdpSuperpackets) != 0 ? kTakesUdp : 0);
}

// Sets the header's size and what the host may leave to us; `offloads` becomes what the kernel took. 0 or -errno.
int Shape(int fd, unsigned long* offloads) {
  int header = kVnetHeader;
  if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) return -errno;
  if (*offloads != 0 && ioctl(fd, TUNSETOFFLOAD, *offloads) < 0) {
    // UDP's need Linux 6.2, before which they are an invalid argument.
    *offloads &= ~kUdpSuperpackets;
    if (*offloads == TUN_F_CSUM || ioctl(fd, TUNSETOFFLOAD, *offloads) < 0) *offloads = 0;
  }
  return *offloads == 0 && ioctl(fd, TUNSETOFFLOAD, 0UL) < 0 ? -errno : 0;
}

// Attaches one queue. `name` may be a pattern, and becomes the device's name; `offloads` becomes what the kernel took of
// them (TUN_F_*). A descriptor or -errno.
int OpenQueue(char* name, bool is_multi_queue, unsigned long* offloads) {
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  ifreq request = {};
  memcpy(request.ifr_name, name, IFNAMSIZ);
  request.ifr_flags =
      static_cast<short>(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (is_multi_queue ? IFF_MULTI_QUEUE : 0));
  const int result = ioctl(fd, TUNSETIFF, &request) < 0 ? -errno : Shape(fd, offloads);
  if (result < 0) {
    close(fd);
    return result;
  }
  memcpy(name, request.ifr_name, IFNAMSIZ);
  return fd;
}

napi_value OpenTun(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  char name[IFNAMSIZ] = {};
  args.String(0, name, sizeof name);
  const uint32_t queues = args.Uint32(1);
  const uint32_t takes = args.Uint32(2);
  if (args.ok() && (queues < 1 || queues > kQueuesMax)) args.RangeError("a device has 1 to 256 queues");
  if (!args.ok()) return nullptr;
  int fds[kQueuesMax];
  uint32_t opened = 0;
  bool is_multi_queue = true;
  int result = 0;
  unsigned long offloads = OffloadsOf(takes);
  while (opened < queues && result >= 0) {
    result = OpenQueue(name, is_multi_queue, &offloads);
    // A device that others made without several queues takes one of this kind only.
    if (result == -EINVAL && queues == 1 && is_multi_queue) {
      is_multi_queue = false;
      result = OpenQueue(name, is_multi_queue, &offloads);
    }
    if (result >= 0) fds[opened++] = result;
  }
  if (result < 0) {
    for (uint32_t i = 0; i < opened; i++) close(fds[i]);
    return Number(env, result);
  }
  napi_value device = nullptr;
  napi_value list = nullptr;
  napi_create_object(env, &device);
  napi_create_array_with_length(env, queues, &list);
  for (uint32_t i = 0; i < queues; i++) napi_set_element(env, list, i, Number(env, fds[i]));
  SetProperty(env, device, "name", Text(env, name));
  SetProperty(env, device, "queues", list);
  SetProperty(env, device, "takes", Number(env, TakenOf(offloads)));
  return device;
}

// The device behind a queue that somebody opened, as {name, isFramed}; -errno when it is none, or its device is gone.
napi_value DescribeTun(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  ifreq request = {};
  if (ioctl(fd, TUNGETIFF, &request) < 0) return Number(env, -errno);
  const int wanted = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  request.ifr_name[IFNAMSIZ - 1] = 0;
  napi_value device = nullptr;
  napi_value framed = nullptr;
  napi_create_object(env, &device);
  napi_get_boolean(env, (request.ifr_flags & wanted) == wanted, &framed);
  SetProperty(env, device, "name", Text(env, request.ifr_name));
  SetProperty(env, device, "isFramed", framed);
  return device;
}

// Makes a queue that others opened one of ours. What the host may leave to us, or -errno.
napi_value AdoptTun(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int fd = args.Int32(0);
  const uint32_t takes = args.Uint32(1);
  if (!args.ok()) return nullptr;
  unsigned long offloads = OffloadsOf(takes);
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
    return Number(env, -errno);
  const int result = Shape(fd, &offloads);
  return Number(env, result < 0 ? result : static_cast<int>(TakenOf(offloads)));
}

}  // namespace

void DefineTun(napi_env env, napi_value exports) {
  Define(env, exports, "openTun", OpenTun);
  Define(env, exports, "describeTun", DescribeTun);
  Define(env, exports, "adoptTun", AdoptTun);
}

}  // namespace tungate
