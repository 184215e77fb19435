// Makes and maps memory files that can neither shrink nor grow.
#include "memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "state.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace tungate {

Mapping::~Mapping() { munmap(data_, size_); }

int CreateMemory(const char* name, size_t octets) {
  if (octets == 0 || octets > kMemoryOctetsMax) return -EINVAL;
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  // Linux before 6.3 knows no MFD_NOEXEC_SEAL.
  if (fd < 0 && errno == EINVAL) fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  if (ftruncate(fd, static_cast<off_t>(octets)) < 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    const int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

int MapMemory(int fd, std::shared_ptr<Mapping>* mapping) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return -errno;
  struct stat status;
  if (fstat(fd, &status) < 0) return -errno;
  if ((seals & F_SEAL_SHRINK) == 0 || status.st_size <= 0) return -EINVAL;
  const size_t size = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return -errno;
  // Children are other programs; none of them has business here.
  madvise(data, size, MADV_DONTFORK);
  *mapping = std::make_shared<Mapping>(static_cast<uint8_t*>(data), size);
  return 0;
}

namespace {

napi_value CreateMemoryCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  char name[64];
  args.String(0, name, sizeof name);
  const double octets = args.Double(1);
  if (args.ok() && !(octets >= 1 && octets <= static_cast<double>(kMemoryOctetsMax)))
    args.RangeError("memory of this size cannot be made");
  if (!args.ok()) return nullptr;
  return Number(env, CreateMemory(name, static_cast<size_t>(octets)));
}

napi_value MapMemoryCall(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int32(0);
  if (!args.ok()) return nullptr;
  std::shared_ptr<Mapping> mapping;
  const int result = MapMemory(fd, &mapping);
  if (result < 0) return Number(env, result);
  return Number(env, State::Of(env).memories.Add(std::move(mapping)));
}

napi_value MemoryBuffer(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  Mapping* found = Find(args, State::Of(env).memories, 0);
  if (!args.ok()) return nullptr;
  std::shared_ptr<Mapping> mapping = State::Of(env).memories.Share(args.Uint32(0));
  return ArrayBufferOver(env, mapping, found->data(), found->size());
}

napi_value UnmapMemory(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t handle = args.Uint32(0);
  if (args.ok()) State::Of(env).memories.Remove(handle);
  return nullptr;
}

}  // namespace

void DefineMemfd(napi_env env, napi_value exports) {
  Define(env, exports, "createMemory", CreateMemoryCall);
  Define(env, exports, "mapMemory", MapMemoryCall);
  Define(env, exports, "memoryBuffer", MemoryBuffer);
  Define(env, exports, "unmapMemory", UnmapMemory);
}

}  // namespace tungate
