// Lets user-mode-linux 6.1 run on processors whose register state is larger than it knows (AMX).
//
// Linux takes PTRACE_SETREGSET of NT_X86_XSTATE only at the full length, and that kernel passes what it knew of at its
// time. Preloaded, this fills the rest with what the process has there already.
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace {
constexpr std::size_t kStateMax = 64 * 1024;
alignas(64) thread_local char state[kStateMax];
using Ptrace = long (*)(__ptrace_request, ...);
}  // namespace

extern "C" long ptrace(__ptrace_request request, ...) noexcept {
  static const auto original = reinterpret_cast<Ptrace>(dlsym(RTLD_NEXT, "ptrace"));
  std::va_list words;
  va_start(words, request);
  const pid_t pid = va_arg(words, pid_t);
  void* const address = va_arg(words, void*);
  void* const data = va_arg(words, void*);
  va_end(words);
  if (request == PTRACE_SETREGSET && reinterpret_cast<std::uintptr_t>(address) == NT_X86_XSTATE) {
    const auto* given = static_cast<const iovec*>(data);
    iovec whole{state, kStateMax};
    if (original(PTRACE_GETREGSET, pid, address, &whole) == 0 && given->iov_len < whole.iov_len) {
      std::memcpy(state, given->iov_base, given->iov_len);
      return original(request, pid, address, &whole);
    }
  }
  return original(request, pid, address, data);
}
