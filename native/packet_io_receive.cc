// Datagrams from sockets into the arena, with where they came from; what the kernel merged is taken apart.
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "packet_io.h"

namespace tungate {

namespace {

struct Arrival {
  uint8_t meta[kMetaStride];
  // Octets of each datagram; the last of a run may be shorter.
  size_t datagram;
};

template <typename T>
T Get(const uint8_t* at) {
  T value;
  memcpy(&value, at, sizeof value);
  return value;
}

template <typename T>
void Put(uint8_t* at, T value) {
  memcpy(at, &value, sizeof value);
}

void ReadControl(msghdr& header, Arrival& arrival) {
  uint8_t* meta = arrival.meta;
  for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr; message = CMSG_NXTHDR(&header, message)) {
    const uint8_t* data = CMSG_DATA(message);
    const size_t size = message->cmsg_len - CMSG_LEN(0);
    const int level = message->cmsg_level;
    const int type = message->cmsg_type;
    if (level == IPPROTO_IP && type == IP_PKTINFO && size >= sizeof(in_pktinfo)) {
      const auto packet = Get<in_pktinfo>(data);
      // Where an answer leaves from, which for a broadcast is not where the datagram was sent to.
      memcpy(meta + kMetaLocalAddress, &packet.ipi_spec_dst, 4);
      Put<uint32_t>(meta + kMetaInterface, static_cast<uint32_t>(packet.ipi_ifindex));
    } else if (level == IPPROTO_IPV6 && type == IPV6_PKTINFO && size >= sizeof(in6_pktinfo)) {
      const auto packet = Get<in6_pktinfo>(data);
      memcpy(meta + kMetaLocalAddress, &packet.ipi6_addr, 16);
      Put<uint32_t>(meta + kMetaInterface, packet.ipi6_ifindex);
    } else if (level == IPPROTO_IP && type == IP_TOS && size >= 1) {
      meta[kMetaTos] = data[0];
    } else if (level == IPPROTO_IPV6 && type == IPV6_TCLASS && size >= sizeof(int)) {
      meta[kMetaTos] = static_cast<uint8_t>(Get<int>(data));
    } else if (level == SOL_UDP && type == UDP_GRO && size >= sizeof(int)) {
      const int datagram = Get<int>(data);
      if (datagram > 0) arrival.datagram = static_cast<size_t>(datagram);
    }
  }
}

// False when the source is of another family.
bool ReadSource(const Socket& socket, const sockaddr_storage& name, uint8_t* meta) {
  if (name.ss_family != socket.family) return false;
  in_port_t port = 0;
  if (socket.family == AF_INET) {
    const auto& remote = reinterpret_cast<const sockaddr_in&>(name);
    memcpy(meta + kMetaRemoteAddress, &remote.sin_addr, 4);
    port = remote.sin_port;
    meta[kMetaFamily] = 4;
  } else {
    const auto& remote = reinterpret_cast<const sockaddr_in6&>(name);
    memcpy(meta + kMetaRemoteAddress, &remote.sin6_addr, 16);
    port = remote.sin6_port;
    meta[kMetaFamily] = 6;
  }
  // A raw socket reports a protocol where UDP has a port.
  Put<uint16_t>(meta + kMetaRemotePort, socket.is_raw ? 0 : ntohs(port));
  Put<uint16_t>(meta + kMetaLocalPort, socket.local_port);
  return true;
}

}  // namespace

Received::Received(const Batch& batch) : arena(batch.bytes) { Divide(batch, kReceiveStride); }

void Received::Divide(const Batch& batch, size_t octets) {
  const size_t wanted = std::min(octets, batch.octets);
  if (stride == wanted) return;
  stride = wanted;
  // What a read may give that is as long as a run can be.
  const size_t datagrams = octets < kReceiveStride ? 1 : kReceiveRunMax;
  const size_t most = std::min(batch.octets / stride, batch.capacity / datagrams);
  places = static_cast<uint32_t>(std::clamp<size_t>(most, 1, kMessagesMax));
  for (uint32_t i = 0; i < places; i++) Reset(i);
}

void Received::Reset(uint32_t message) {
  parts[message] = {arena + message * stride, stride};
  msghdr& header = messages[message].msg_hdr;
  header.msg_name = &names[message];
  header.msg_namelen = sizeof(sockaddr_storage);
  header.msg_iov = &parts[message];
  header.msg_iovlen = 1;
  header.msg_control = controls[message].octets;
  header.msg_controllen = kControlOctets;
  header.msg_flags = 0;
}

SocketState& PacketIo::SocketOf(int fd) {
  for (const std::unique_ptr<SocketState>& state : sockets_)
    if (state->fd == fd) return *state;
  sockets_.push_back(std::make_unique<SocketState>());
  sockets_.back()->fd = fd;
  int protocol = 0;
  socklen_t length = sizeof protocol;
  const bool is_known = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0;
  sockets_.back()->takes_whole_packets = is_known && protocol == IPPROTO_RAW;
  return *sockets_.back();
}

// False when nothing was received.
bool PacketIo::Refill(const Socket& socket, Batch& batch, Received& received) {
  const int fd = socket.fd;
  for (uint32_t i = 0; i < received.received; i++) received.Reset(i);
  received.Divide(batch, socket.is_raw && !SocketOf(fd).gets_long_packets ? kReceiveRawStride : kReceiveStride);
  received.fd = fd;
  received.received = received.next = 0;
  received.at = 0;
  // The first try may report what ICMP said about a packet that was sent.
  for (int attempt = 0; attempt < 3; attempt++) {
    const int count = recvmmsg(fd, received.messages, received.places, MSG_DONTWAIT, nullptr);
    if (count > 0) {
      received.received = static_cast<uint32_t>(count);
      return true;
    }
    if (count == 0 || errno == EAGAIN) return false;
    if (errno == EINTR || IsErrorOfAnother(errno)) continue;
    ReadFailed(errno);
    return false;
  }
  return false;
}

// Describes what is left of the message `next`, as far as the batch has columns for it.
uint32_t PacketIo::PlaceDatagrams(const Socket& socket, Received& received, Batch& batch, uint32_t count) {
  mmsghdr& message = received.messages[received.next];
  const size_t start = received.next * received.stride;
  const uint8_t* octets = batch.bytes + start;
  const size_t length = message.msg_len;
  Arrival arrival = {{}, length};
  ReadControl(message.msg_hdr, arrival);
  // The kernel checked its own IPv4 header; only its length matters here.
  const bool has_ip_header = socket.is_raw && socket.family == AF_INET;
  const size_t ip_header = !has_ip_header ? 0 : length == 0 ? sizeof(iphdr) : (octets[0] & 15u) * 4;
  const bool is_cut = (message.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  if (is_cut || !ReadSource(socket, received.names[received.next], arrival.meta) || ip_header > length ||
      (has_ip_header && ip_header < sizeof(iphdr))) {
    (is_cut ? counters_.oversized : counters_.bad_datagrams)++;
    // The next one will fit.
    if (is_cut && socket.is_raw) SocketOf(socket.fd).gets_long_packets = true;
    received.next++;
    received.at = 0;
    return count;
  }
  arrival.meta[kMetaHeaderLength] = static_cast<uint8_t>(ip_header);
  if (received.at == 0) {
    received.at = ip_header;
    if (arrival.datagram < length) counters_.datagram_runs_received++;
  }
  if (count == 0 || memcmp(batch.meta + (count - 1) * kMetaStride, arrival.meta, kMetaStride) != 0) received.origin++;
  do {
    const size_t datagram = std::min(arrival.datagram, length - received.at);
    memcpy(batch.meta + count * kMetaStride, arrival.meta, kMetaStride);
    batch.tos[count] = arrival.meta[kMetaTos];
    batch.frame[count] = received.origin;
    batch.offset[count] = static_cast<uint32_t>(start + received.at);
    batch.length[count] = static_cast<uint32_t>(datagram);
    batch.status[count] = kPacketOk;
    count++;
    received.at += datagram;
  } while (received.at < length && count < batch.capacity);
  if (received.at >= length) {
    received.next++;
    received.at = 0;
  }
  return count;
}

uint32_t PacketIo::Receive(const Socket& socket, Batch& batch) {
  if (batch.received == nullptr) batch.received = std::make_unique<Received>(batch);
  Received& received = *batch.received;
  if (received.next == received.received) {
    if (!Refill(socket, batch, received)) return 0;
  } else if (received.fd != socket.fd) {
    // What another socket gave lies in the arena still, and goes first.
    return kReadMore;
  }
  uint32_t count = 0;
  received.origin = 0;
  while (received.next < received.received && count < batch.capacity)
    count = PlaceDatagrams(socket, received, batch, count);
  const bool is_empty = received.next == received.received && received.received < received.places;
  return count | (is_empty ? 0 : kReadMore);
}

}  // namespace tungate
