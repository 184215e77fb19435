// Packets from the arena to the endpoints of the SA table; one that the system refuses does not stop the others.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "packet_io.h"

namespace tungate {

namespace {

// A full socket queue drains at line rate: waiting this long at most, once per batch, loses less than dropping.
constexpr int kSendWaitMs = 4;

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

bool PacketIo::PrepareSend(const Socket& socket, Batch& batch, uint32_t i, uint32_t place) {
  using namespace sa_table;
  Packet packet;
  const uint8_t* endpoint = table_.endpoint(batch.endpoint[i]);
  if (endpoint == nullptr || !batch.Find(i, &packet) || packet.length == 0) return false;
  const uint8_t family = endpoint[kEndpointFamily];
  const uint8_t encapsulation = socket.is_raw ? kEncapsulationRaw : kEncapsulationUdp;
  if (family != (socket.family == AF_INET ? 4 : 6) || endpoint[kEndpointEncapsulation] != encapsulation) return false;
  uint16_t port = 0;
  if (!socket.is_raw) memcpy(&port, endpoint + kEndpointRemotePort, sizeof port);

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
  parts_[place] = {packet.data, packet.length};
  header.msg_iov = &parts_[place];
  header.msg_iovlen = 1;
  header.msg_flags = 0;
  controls_[place].Write(&header, socket.family, IsZero(local, address_octets) ? nullptr : local, batch.tos[i]);
  packets_[place] = i;
  return true;
}

void PacketIo::SendFailed(Batch& batch, uint32_t i, int error) {
  const bool is_too_big = error == EMSGSIZE;
  batch.status[i] = is_too_big ? kPacketTooBig : kPacketNotSent;
  (is_too_big ? counters_.send_too_big : counters_.send_errors)++;
  counters_.last_send_errno = static_cast<uint64_t>(error);
}

void PacketIo::SendChunk(const Socket& socket, Batch& batch, uint32_t prepared) {
  uint32_t done = 0;
  bool was_retried = false;
  bool has_waited = false;
  while (done < prepared) {
    const int sent = sendmmsg(socket.fd, messages_ + done, prepared - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<uint32_t>(sent);
      was_retried = false;
      continue;
    }
    const int error = sent < 0 ? errno : EIO;
    if (error == EINTR) continue;
    if (error == EAGAIN && !has_waited) {
      has_waited = true;
      if (WaitUntilWritable(socket.fd)) continue;
    }
    if (IsErrorOfAnother(error) && !was_retried) {
      was_retried = true;
      counters_.send_retries++;
      continue;
    }
    SendFailed(batch, packets_[done], error);
    done++;
    was_retried = false;
  }
}

void PacketIo::Send(const Socket& socket, Batch& batch, uint32_t count) {
  uint32_t prepared = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (batch.status[i] != kPacketOk) continue;
    if (!PrepareSend(socket, batch, i, prepared)) {
      SendFailed(batch, i, EINVAL);
      continue;
    }
    if (++prepared < kSendChunk) continue;
    SendChunk(socket, batch, prepared);
    prepared = 0;
  }
  SendChunk(socket, batch, prepared);
}

}  // namespace tungate
