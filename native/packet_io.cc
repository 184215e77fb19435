// The transfers' calls from scripts.
#include "packet_io.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "napi_args.h"
#include "socket_options.h"
#include "state.h"

namespace tungate {

bool PacketIo::Attach(std::shared_ptr<Mapping> table) {
  memory_ = std::move(table);
  return table_.Attach(memory_->data(), memory_->size());
}

namespace {

napi_value CreatePacketIo(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  State& state = State::Of(env);
  Find(args, state.memories, 0);
  const bool sends_runs = args.Bool(1);
  const bool coalesces = args.Bool(2);
  if (!args.ok()) return nullptr;
  auto io = std::make_shared<PacketIo>(sends_runs, coalesces);
  if (!io->Attach(state.memories.Share(args.Uint32(0)))) return Number(env, -EINVAL);
  return Number(env, state.packet_ios.Add(std::move(io)));
}

napi_value ClosePacketIo(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t handle = args.Uint32(0);
  if (args.ok()) State::Of(env).packet_ios.Remove(handle);
  return nullptr;
}

napi_value ReadTun(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  PacketIo* io = Find(args, State::Of(env).packet_ios, 0);
  const int fd = args.Int32(1);
  Batch* frames = FindFrames(args, 2);
  if (!args.ok()) return nullptr;
  return Number(env, io->ReadTun(fd, *frames));
}

napi_value WriteTun(napi_env env, napi_callback_info info) {
  Args args(env, info, 6);
  PacketIo* io = Find(args, State::Of(env).packet_ios, 0);
  const int fd = args.Int32(1);
  Batch* batch = FindBatch(args, 2);
  const uint32_t count = BatchCount(args, batch, 3);
  const uint32_t first = args.Uint32(4);
  const uint32_t writes_max = args.Uint32(5);
  if (!args.ok()) return nullptr;
  return Number(env, io->WriteTun(fd, *batch, first, count, writes_max));
}

Socket SocketOf(Args& args, size_t i) {
  Socket socket = {};
  socket.fd = args.Int32(i);
  socket.family = FamilyOf(args, i + 1);
  socket.is_raw = args.Bool(i + 2);
  const uint32_t port = args.Uint32(i + 3);
  if (port > UINT16_MAX) args.RangeError("a port is at most 65535");
  socket.local_port = static_cast<uint16_t>(port);
  return socket;
}

napi_value Receive(napi_env env, napi_callback_info info) {
  Args args(env, info, 6);
  PacketIo* io = Find(args, State::Of(env).packet_ios, 0);
  const Socket socket = SocketOf(args, 1);
  Batch* batch = FindBatch(args, 5);
  if (!args.ok()) return nullptr;
  return Number(env, io->Receive(socket, *batch));
}

napi_value SendBatch(napi_env env, napi_callback_info info, bool is_fragmentable) {
  Args args(env, info, 7);
  PacketIo* io = Find(args, State::Of(env).packet_ios, 0);
  const Socket socket = SocketOf(args, 1);
  Batch* batch = FindBatch(args, 5);
  const uint32_t count = BatchCount(args, batch, 6);
  if (args.ok()) io->Send(socket, *batch, count, is_fragmentable);
  return nullptr;
}

napi_value Send(napi_env env, napi_callback_info info) { return SendBatch(env, info, false); }

napi_value SendFragmentable(napi_env env, napi_callback_info info) { return SendBatch(env, info, true); }

napi_value Counters(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  PacketIo* io = Find(args, State::Of(env).packet_ios, 0);
  size_t room = 0;
  double* into = args.Float64Array(1, &room);
  if (!args.ok()) return nullptr;
  uint64_t values[kPacketIoCounters];
  memcpy(values, &io->counters(), sizeof values);
  for (size_t i = 0; i < kPacketIoCounters && i < room; i++) into[i] = static_cast<double>(values[i]);
  return nullptr;
}

}  // namespace

void DefinePacketIo(napi_env env, napi_value exports) {
  Define(env, exports, "createPacketIo", CreatePacketIo);
  Define(env, exports, "closePacketIo", ClosePacketIo);
  Define(env, exports, "readTun", ReadTun);
  Define(env, exports, "writeTun", WriteTun);
  Define(env, exports, "receive", Receive);
  Define(env, exports, "send", Send);
  Define(env, exports, "sendFragmentable", SendFragmentable);
  Define(env, exports, "packetIoCounters", Counters);
}

}  // namespace tungate
