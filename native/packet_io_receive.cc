// Datagrams from sockets into the arena, with where they came from.
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "packet_io.h"

namespace tungate {

namespace {

struct Arrival {
  uint8_t local[16];
  uint32_t interface;
  uint8_t tos;
};

Arrival ReadControl(msghdr& header) {
  Arrival arrival = {};
  for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr; message = CMSG_NXTHDR(&header, message)) {
    const uint8_t* data = CMSG_DATA(message);
    const size_t size = message->cmsg_len - CMSG_LEN(0);
    if (message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_PKTINFO && size >= sizeof(in_pktinfo)) {
      in_pktinfo packet;
      memcpy(&packet, data, sizeof packet);
      // Where an answer leaves from, which for a broadcast is not where the datagram was sent to.
      memcpy(arrival.local, &packet.ipi_spec_dst, 4);
      arrival.interface = static_cast<uint32_t>(packet.ipi_ifindex);
    } else if (message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_TOS && size >= 1) {
      arrival.tos = data[0];
    } else if (message->cmsg_level == IPPROTO_IPV6 && message->cmsg_type == IPV6_PKTINFO &&
               size >= sizeof(in6_pktinfo)) {
      in6_pktinfo packet;
      memcpy(&packet, data, sizeof packet);
      memcpy(arrival.local, &packet.ipi6_addr, 16);
      arrival.interface = packet.ipi6_ifindex;
    } else if (message->cmsg_level == IPPROTO_IPV6 && message->cmsg_type == IPV6_TCLASS && size >= sizeof(int)) {
      int traffic_class;
      memcpy(&traffic_class, data, sizeof traffic_class);
      arrival.tos = static_cast<uint8_t>(traffic_class);
    }
  }
  return arrival;
}

template <typename T>
void Put(uint8_t* at, T value) {
  memcpy(at, &value, sizeof value);
}

}  // namespace

bool PacketIo::AcceptDatagram(const Socket& socket, Batch& batch, uint32_t cell, uint32_t packet) {
  mmsghdr& message = batch.receive.messages[cell];
  msghdr& header = message.msg_hdr;
  uint32_t offset = static_cast<uint32_t>(cell * size_t{batch.stride} + batch.headroom);
  uint32_t length = message.msg_len;
  if ((header.msg_flags & MSG_TRUNC) != 0) {
    counters_.oversized++;
    return false;
  }
  if (socket.is_raw && socket.family == AF_INET) {
    // The kernel checked its own header; only its length matters here.
    const uint32_t ip_header = length > 0 ? (batch.bytes[offset] & 15u) * 4 : 0;
    if (ip_header < sizeof(iphdr) || ip_header > length) {
      counters_.bad_datagrams++;
      return false;
    }
    offset += ip_header;
    length -= ip_header;
  }
  const sockaddr_storage& name = batch.receive.names[cell];
  uint8_t* meta = batch.meta + packet * kMetaStride;
  if (name.ss_family != socket.family) {
    counters_.bad_datagrams++;
    return false;
  }
  const Arrival arrival = ReadControl(header);
  memset(meta, 0, kMetaStride);
  if (socket.family == AF_INET) {
    const auto& remote = reinterpret_cast<const sockaddr_in&>(name);
    memcpy(meta + kMetaRemoteAddress, &remote.sin_addr, 4);
    // A raw socket reports a protocol where UDP has a port.
    Put<uint16_t>(meta + kMetaRemotePort, socket.is_raw ? 0 : ntohs(remote.sin_port));
    memcpy(meta + kMetaLocalAddress, arrival.local, 4);
    meta[kMetaFamily] = 4;
  } else {
    const auto& remote = reinterpret_cast<const sockaddr_in6&>(name);
    memcpy(meta + kMetaRemoteAddress, &remote.sin6_addr, 16);
    Put<uint16_t>(meta + kMetaRemotePort, socket.is_raw ? 0 : ntohs(remote.sin6_port));
    memcpy(meta + kMetaLocalAddress, arrival.local, 16);
    meta[kMetaFamily] = 6;
  }
  Put<uint16_t>(meta + kMetaLocalPort, socket.local_port);
  Put<uint32_t>(meta + kMetaInterface, arrival.interface);
  meta[kMetaTos] = arrival.tos;
  batch.tos[packet] = arrival.tos;
  batch.offset[packet] = offset;
  batch.length[packet] = length;
  batch.status[packet] = kPacketOk;
  return true;
}

uint32_t PacketIo::Receive(const Socket& socket, Batch& batch) {
  int received = -1;
  // The first try may report what ICMP said about a packet that was sent.
  for (int attempt = 0; attempt < 3 && received < 0; attempt++) {
    received = recvmmsg(socket.fd, batch.receive.messages.data(), batch.capacity, MSG_DONTWAIT, nullptr);
    if (received >= 0) break;
    if (errno == EAGAIN) return 0;
    if (errno != EINTR && !IsErrorOfAnother(errno)) {
      counters_.read_errors++;
      counters_.last_read_errno = static_cast<uint64_t>(errno);
      return 0;
    }
  }
  uint32_t count = 0;
  for (int i = 0; i < received; i++) {
    const uint32_t cell = static_cast<uint32_t>(i);
    if (AcceptDatagram(socket, batch, cell, count)) count++;
    batch.ResetReceive(cell);
  }
  return count;
}

}  // namespace tungate
