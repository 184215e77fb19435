// Attaches packet programs to sockets, and copies octets between memories; what a program says is decided in TypeScript.
#include <linux/filter.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "napi_args.h"
#include "state.h"

namespace tungate {

namespace {

constexpr size_t kInstructionsMax = 64;

// `words` holds two per instruction, see src/dataplane/lane-steering.ts; the kernel checks the program itself.
napi_value AttachProgram(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  const int fd = args.Int32(0);
  size_t count = 0;
  const uint32_t* words = args.Uint32Array(1, &count);
  const bool chooses_socket = args.Bool(2);
  if (args.ok() && (count == 0 || count % 2 != 0 || count / 2 > kInstructionsMax))
    args.RangeError("a program has 1 to 64 instructions of two words");
  if (!args.ok()) return nullptr;
  sock_filter instructions[kInstructionsMax];
  for (size_t i = 0; i < count / 2; i++) {
    const uint32_t word = words[2 * i];
    instructions[i] = {static_cast<uint16_t>(word), static_cast<uint8_t>(word >> 16), static_cast<uint8_t>(word >> 24),
                       words[2 * i + 1]};
  }
  const sock_fprog program = {static_cast<unsigned short>(count / 2), instructions};
  const int option = chooses_socket ? SO_ATTACH_REUSEPORT_CBPF : SO_ATTACH_FILTER;
  return Number(env, setsockopt(fd, SOL_SOCKET, option, &program, sizeof program) < 0 ? -errno : 0);
}

// JavaScript's own way makes two objects for each copy.
napi_value CopyOctets(napi_env env, napi_callback_info info) {
  Args args(env, info, 5);
  const Octets from = args.Uint8Array(0);
  const uint32_t from_offset = args.Uint32(1);
  const uint32_t length = args.Uint32(2);
  const Octets to = args.Uint8Array(3);
  const uint32_t to_offset = args.Uint32(4);
  if (args.ok() && (from_offset > from.size || length > from.size - from_offset || to_offset > to.size ||
                    length > to.size - to_offset))
    args.RangeError("octets to copy lie outside of their memory");
  if (!args.ok()) return nullptr;
  if (length > 0) memmove(to.data + to_offset, from.data + from_offset, length);
  return nullptr;
}

}  // namespace

void DefineSteering(napi_env env, napi_value exports) {
  Define(env, exports, "attachProgram", AttachProgram);
  Define(env, exports, "copyOctets", CopyOctets);
}

}  // namespace tungate
