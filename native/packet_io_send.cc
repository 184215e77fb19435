// Packets from the arena to the endpoints of the SA table; one that the system refuses does not stop the others.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <shared_mutex>

#include "packet_io.h"
#include "send_lock.h"
#include "socket_options.h"

namespace tungate {

namespace {

// A full socket queue drains at line rate: waiting this long loses less than dropping. One wait in vain is all of a batch.
constexpr int kSendWaitMs = 4;
// Before Linux 6.9 a run has at most 64 segments; all of it must fit one UDP datagram.
constexpr uint32_t kRunSegmentsMax = 64;
constexpr size_t kRunOctetsMax = 65000;

bool IsZero(const uint8_t* octets, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (octets[i] != 0) return false;
  return true;
}

bool WaitUntilWritable(int fd) {
  pollfd wanted = {fd, POLLOUT, 0};
  return poll(&wanted, 1, kSendWaitMs) > 0 && (wanted.revents & POLLOUT) != 0;
}

}  // namespace

// Adds a packet to the message before it: same endpoint and traffic class, as long as the first or shorter.
bool PacketIo::JoinRun(const Batch& batch, uint32_t i, const Packet& packet) {
  if (prepared_messages_ == 0) return false;
  Message& run = prepared_[prepared_messages_ - 1];
  if (run.is_closed || run.endpoint != batch.endpoint[i] || run.tos != batch.tos[i] || packet.length > run.segment ||
      run.count == kRunSegmentsMax || run.octets + packet.length > kRunOctetsMax)
    return false;
  run.count++;
  run.octets += packet.length;
  run.is_closed = packet.length < run.segment;
  iovec& last = parts_[prepared_parts_ - 1];
  if (static_cast<uint8_t*>(last.iov_base) + last.iov_len == packet.data) {
    last.iov_len += packet.length;
  } else {
    parts_[prepared_parts_++] = {packet.data, packet.length};
    run.pieces++;
  }
  packets_[prepared_packets_++] = i;
  return true;
}

bool PacketIo::PrepareSend(const Socket& socket, Batch& batch, uint32_t i, const Packet& packet) {
  using namespace sa_table;
  const uint8_t* endpoint = table_.endpoint(batch.endpoint[i]);
  if (endpoint == nullptr) return false;
  const uint8_t family = endpoint[kEndpointFamily];
  const uint8_t encapsulation = socket.is_raw ? kEncapsulationRaw : kEncapsulationUdp;
  // A whole packet to a UDP endpoint has its UDP header already.
  const bool fits = endpoint[kEndpointEncapsulation] == encapsulation ||
                    (socket.is_raw && SocketOf(socket.fd).takes_whole_packets);
  if (family != (socket.family == AF_INET ? 4 : 6) || !fits) return false;
  uint16_t port = 0;
  if (!socket.is_raw) memcpy(&port, endpoint + kEndpointRemotePort, sizeof port);

  const uint32_t place = prepared_messages_++;
  msghdr& header = messages_[place].msg_hdr;
  sockaddr_storage& name = names_[place];
  size_t address_octets = 4;
  if (socket.family == AF_INET) {
    auto& remote = reinterpret_cast<sockaddr_in&>(name);
    remote = {};
    remote.sin_family = AF_INET;
    remote.sin_port = htons(port);
    memcpy(&remote.sin_addr, endpoint + kEndpointRemoteAddress, 4);
    header.msg_namelen = sizeof remote;
  } else {
    auto& remote = reinterpret_cast<sockaddr_in6&>(name);
    remote = {};
    remote.sin6_family = AF_INET6;
    remote.sin6_port = htons(port);
    memcpy(&remote.sin6_addr, endpoint + kEndpointRemoteAddress, 16);
    header.msg_namelen = sizeof remote;
    address_octets = 16;
  }
  const uint8_t* local = endpoint + kEndpointLocalAddress;
  header.msg_name = &name;
  header.msg_iov = &parts_[prepared_parts_];
  header.msg_flags = 0;
  controls_[place].Write(&header, socket.family, IsZero(local, address_octets) ? nullptr : local, batch.tos[i]);
  prepared_[place] = {prepared_packets_, 1,         prepared_parts_,   1,
                      packet.length,     packet.length, batch.endpoint[i], batch.tos[i], false};
  parts_[prepared_parts_++] = {packet.data, packet.length};
  packets_[prepared_packets_++] = i;
  return true;
}

void PacketIo::SendFailed(Batch& batch, uint32_t i, int error) {
  const bool is_too_big = error == EMSGSIZE;
  batch.status[i] = is_too_big ? kPacketTooBig : kPacketNotSent;
  (is_too_big ? counters_.send_too_big : counters_.send_errors)++;
  counters_.last_send_errno = static_cast<uint64_t>(error);
}

// One message; 0 or the error that is its own.
int PacketIo::SendMessage(const Socket& socket, const msghdr& header) {
  bool was_retried = false;
  bool has_waited = false;
  while (sendmsg(socket.fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    const int error = errno;
    if (error == EINTR) continue;
    if (error == EAGAIN && !has_waited && may_wait_) {
      has_waited = true;
      may_wait_ = WaitUntilWritable(socket.fd);
      if (may_wait_) continue;
    }
    if (!IsErrorOfAnother(error) || was_retried) return error;
    was_retried = true;
    counters_.send_retries++;
  }
  return 0;
}

// A run that was refused: its packets one by one, which tells whether they or the run are the reason.
void PacketIo::SendSingly(const Socket& socket, Batch& batch, uint32_t message, int refusal) {
  const Message& run = prepared_[message];
  msghdr header = messages_[message].msg_hdr;
  controls_[message].RemoveSegmentSize(&header);
  header.msg_iovlen = 1;
  uint32_t failed = 0;
  for (uint32_t k = run.first; k < run.first + run.count; k++) {
    Packet packet = {};
    batch.Find(packets_[k], &packet);
    iovec part = {packet.data, packet.length};
    header.msg_iov = &part;
    const int error = SendMessage(socket, header);
    if (error == 0) continue;
    SendFailed(batch, packets_[k], error);
    failed++;
  }
  // Above the MTU a run is refused where single packets may be fragmented.
  if (failed > 0 || refusal == EMSGSIZE) return;
  SocketOf(socket.fd).refuses_runs = true;
  counters_.offload_refusals++;
  counters_.send_run_refusals++;
}

void PacketIo::SendPrepared(const Socket& socket, Batch& batch, bool is_fragmentable) {
  if (prepared_messages_ == 0) return;
  if (is_fragmentable) {
    const FragmentsAllowed allowed(socket.fd, socket.family);
    Transmit(socket, batch);
  } else {
    const std::shared_lock<SendLock> lock(SendLock::Of(socket.fd));
    Transmit(socket, batch);
  }
  prepared_messages_ = prepared_packets_ = prepared_parts_ = 0;
}

void PacketIo::Transmit(const Socket& socket, Batch& batch) {
  for (uint32_t i = 0; i < prepared_messages_; i++) {
    msghdr& header = messages_[i].msg_hdr;
    header.msg_iovlen = prepared_[i].pieces;
    if (prepared_[i].count > 1) controls_[i].AddSegmentSize(&header, static_cast<uint16_t>(prepared_[i].segment));
  }
  uint32_t done = 0;
  while (done < prepared_messages_) {
    const int sent = sendmmsg(socket.fd, messages_ + done, prepared_messages_ - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    for (int i = 0; i < sent; i++)
      if (prepared_[done + static_cast<uint32_t>(i)].count > 1) counters_.datagram_runs_sent++;
    if (sent > 0) {
      done += static_cast<uint32_t>(sent);
      continue;
    }
    const Message& message = prepared_[done];
    const int error = SendMessage(socket, messages_[done].msg_hdr);
    if (error != 0 && message.count > 1 && error != EAGAIN) {
      SendSingly(socket, batch, done, error);
    } else if (error != 0) {
      for (uint32_t k = message.first; k < message.first + message.count; k++) SendFailed(batch, packets_[k], error);
    }
    done++;
  }
}

void PacketIo::Send(const Socket& socket, Batch& batch, uint32_t count, bool is_fragmentable) {
  may_wait_ = true;
  const bool joins = sends_runs_ && !socket.is_raw && !SocketOf(socket.fd).refuses_runs;
  for (uint32_t i = 0; i < count; i++) {
    if (batch.status[i] != kPacketOk) continue;
    Packet packet;
    const bool is_sound = batch.Find(i, &packet) && packet.length > 0;
    if (!is_sound || (!(joins && JoinRun(batch, i, packet)) && !PrepareSend(socket, batch, i, packet))) {
      SendFailed(batch, i, EINVAL);
      continue;
    }
    if (prepared_packets_ == kSendChunk) SendPrepared(socket, batch, is_fragmentable);
  }
  SendPrepared(socket, batch, is_fragmentable);
}

}  // namespace tungate
