// The ceiling that the bench compares with: one thread that shuttles packets between a TUN device and a UDP socket and
// encrypts them with one fixed key. No policy, no replay check, no handshake, IPv4 TCP alone in superpackets.
//
//   native-loop DEVICE LOCAL-ADDRESS REMOTE-ADDRESS PORT KEY-HEX-64
//
// The formats on the wire are those of ESP in UDP: SPI, sequence number, IV, ciphertext with a trailer of four octets, tag.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "aead.h"

namespace {

struct VnetHeader {
  uint8_t flags, gso_type;
  uint16_t header_length, gso_size, checksum_start, checksum_offset;
};
constexpr size_t kVnet = sizeof(VnetHeader);
static_assert(kVnet == 10);

constexpr size_t kFront = 16;  // SPI, sequence number, IV
constexpr size_t kTrailer = 4;
constexpr size_t kAdded = kFront + kTrailer + kTagOctets;
constexpr size_t kPacketMax = 1 << 16;
constexpr uint32_t kRunSegments = 64;
constexpr size_t kRunOctets = 65000;
// A turn reads so much of one side before it looks at the other: runs may go on across superpackets.
constexpr size_t kTurnOctets = 400 << 10;
constexpr size_t kOutOctets = kTurnOctets + 4 * kPacketMax;
constexpr uint32_t kMessages = 256;
constexpr int kWritableMs = 4;
constexpr size_t kFlows = 8;

[[noreturn]] void Fail(const char* what) {
  fprintf(stderr, "native-loop: %s: %s\n", what, strerror(errno));
  exit(1);
}

uint16_t Load16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
uint32_t Load32(const uint8_t* at) { return static_cast<uint32_t>(Load16(at)) << 16 | Load16(at + 2); }
void Store16(uint8_t* at, size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void Store32(uint8_t* at, uint32_t value) {
  Store16(at, value >> 16);
  Store16(at + 2, value & 0xffff);
}

// Sums of 16-bit words in the machine's order; the loop is one that compilers turn into vector code.
uint64_t Sum(uint64_t sum, const uint8_t* at, size_t length) {
  size_t i = 0;
  for (; i + 4 <= length; i += 4) {
    uint32_t word;
    memcpy(&word, at + i, 4);
    sum += word;
  }
  if (i + 2 <= length) {
    uint16_t word;
    memcpy(&word, at + i, 2);
    sum += word;
    i += 2;
  }
  if (i < length) sum += at[i];
  return sum;
}
uint16_t Fold(uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>(sum);
}
uint64_t PseudoSum(const uint8_t* ip, size_t tcp_octets) {
  return Sum(0, ip + 12, 8) + htons(6) + htons(static_cast<uint16_t>(tcp_octets));
}

struct Run {
  uint8_t* at;
  size_t segment, octets;
  uint32_t count;
  bool is_closed;
};

// TCP segments of one flow, on their way to the TUN device as one packet.
struct Flow {
  uint32_t count = 0;
  uint8_t* first;
  size_t headers, segment, octets;
  uint32_t next;
  iovec parts[kRunSegments + 2];
};

class Loop {
 public:
  Loop(int tun, int udp, const uint8_t* key)
      : tun_(tun), udp_(udp), aead_(key), out_(new uint8_t[kOutOctets]), in_(new uint8_t[kReceives * kPacketMax]) {}

  void RunForever() {
    pollfd wanted[] = {{tun_, POLLIN, 0}, {udp_, POLLIN, 0}};
    for (;;) {
      const bool sent = Outbound();
      const bool received = Inbound();
      if (!sent && !received && poll(wanted, 2, -1) < 0 && errno != EINTR) Fail("poll");
    }
  }

 private:
  static constexpr uint32_t kReceives = 8;

  bool Outbound() {
    uint8_t* out = out_.get();
    runs_ = 0;
    size_t total = 0;
    while (out < out_.get() + kTurnOctets && runs_ + kRunSegments < kMessages) {
      VnetHeader header;
      iovec parts[] = {{&header, kVnet}, {packet_, kPacketMax}};
      const ssize_t got = readv(tun_, parts, 2);
      if (got <= static_cast<ssize_t>(kVnet + 20)) {
        if (got < 0 && errno != EAGAIN && errno != EINTR) Fail("read of the TUN device");
        if (got < 0) break;
        continue;
      }
      const size_t length = static_cast<size_t>(got) - kVnet;
      total += length;
      out = header.gso_type == 0 ? SealPlain(header, length, out) : SealSegments(header, length, out);
    }
    Send();
    return total > 0;
  }

  uint8_t* SealPlain(const VnetHeader& header, size_t length, uint8_t* out) {
    if ((header.flags & 1) != 0 && header.checksum_start + header.checksum_offset + 2u <= length) {
      uint16_t sum = static_cast<uint16_t>(~Fold(Sum(0, packet_ + header.checksum_start, length - header.checksum_start)));
      if (sum == 0) sum = 0xffff;
      memcpy(packet_ + header.checksum_start + header.checksum_offset, &sum, 2);
    }
    memcpy(out + kFront, packet_, length);
    return Seal(out, length);
  }

  uint8_t* SealSegments(const VnetHeader& header, size_t length, uint8_t* out) {
    const size_t ip = (packet_[0] & 15u) * 4;
    if (packet_[0] >> 4 != 4 || packet_[9] != 6 || length < ip + 20) return out;
    const size_t headers = ip + (packet_[ip + 12] >> 4) * 4u;
    const size_t segment = header.gso_size;
    if (segment == 0 || headers > length) return out;
    const uint32_t sequence = Load32(packet_ + ip + 4);
    const uint16_t id = Load16(packet_ + 4);
    const uint8_t flags = packet_[ip + 13];
    uint32_t n = 0;
    for (size_t at = headers; at < length; at += segment, n++) {
      const size_t payload = length - at < segment ? length - at : segment;
      const bool is_last = at + payload == length;
      uint8_t* packet = out + kFront;
      memcpy(packet, packet_, headers);
      memcpy(packet + headers, packet_ + at, payload);
      Store16(packet + 2, headers + payload);
      Store16(packet + 4, static_cast<uint16_t>(id + n));
      memset(packet + 10, 0, 2);
      const uint16_t ip_sum = static_cast<uint16_t>(~Fold(Sum(0, packet, ip)));
      memcpy(packet + 10, &ip_sum, 2);
      Store32(packet + ip + 4, sequence + static_cast<uint32_t>(at - headers));
      packet[ip + 13] = static_cast<uint8_t>(flags & ~((is_last ? 0 : 0x09) | (n == 0 ? 0 : 0x80)));
      memset(packet + ip + 16, 0, 2);
      const size_t tcp = headers - ip + payload;
      const uint16_t sum = static_cast<uint16_t>(~Fold(Sum(PseudoSum(packet, tcp), packet + ip, tcp)));
      memcpy(packet + ip + 16, &sum, 2);
      out = Seal(out, headers + payload);
    }
    return out;
  }

  // Encrypts what stands behind the front, and adds it to the runs. Returns where the next one goes.
  uint8_t* Seal(uint8_t* out, size_t length) {
    sequence_++;
    Store32(out, 0x1000);
    Store32(out + 4, static_cast<uint32_t>(sequence_));
    Store32(out + 8, static_cast<uint32_t>(sequence_ >> 32));
    Store32(out + 12, static_cast<uint32_t>(sequence_));
    static const uint8_t trailer[kTrailer] = {1, 2, 2, 4};
    memcpy(out + kFront + length, trailer, kTrailer);
    aead_.Seal(out, kFront, length + kTrailer);
    const size_t octets = length + kAdded;
    Run* run = runs_ == 0 ? nullptr : &run_[runs_ - 1];
    if (run == nullptr || run->is_closed || octets > run->segment || run->count == kRunSegments ||
        run->octets + octets > kRunOctets) {
      run_[runs_++] = {out, octets, octets, 1, false};
    } else {
      run->count++;
      run->octets += octets;
      run->is_closed = octets < run->segment;
    }
    return out + octets;
  }

  void Send() {
    for (uint32_t i = 0; i < runs_; i++) {
      msghdr& header = messages_[i].msg_hdr;
      parts_[i] = {run_[i].at, run_[i].octets};
      header = {};
      header.msg_iov = &parts_[i];
      header.msg_iovlen = 1;
      if (run_[i].count < 2) continue;
      header.msg_control = controls_[i].octets;
      header.msg_controllen = CMSG_SPACE(sizeof(uint16_t));
      cmsghdr* control = CMSG_FIRSTHDR(&header);
      control->cmsg_level = SOL_UDP;
      control->cmsg_type = UDP_SEGMENT;
      control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const uint16_t segment = static_cast<uint16_t>(run_[i].segment);
      memcpy(CMSG_DATA(control), &segment, sizeof segment);
    }
    for (uint32_t done = 0; done < runs_;) {
      const int sent = sendmmsg(udp_, messages_ + done, runs_ - done, MSG_DONTWAIT);
      if (sent > 0) {
        done += static_cast<uint32_t>(sent);
      } else if (errno == EAGAIN) {
        pollfd writable = {udp_, POLLOUT, 0};
        if (poll(&writable, 1, kWritableMs) <= 0) return;
      } else if (errno != EINTR) {
        // An ICMP error of an earlier packet, or a run that is refused: this one is lost.
        done++;
      }
    }
  }

  bool Inbound() {
    bool any = false;
    for (size_t total = 0; total < kTurnOctets;) {
      for (uint32_t i = 0; i < kReceives; i++) {
        received_parts_[i] = {in_.get() + i * kPacketMax, kPacketMax};
        msghdr& header = received_[i].msg_hdr;
        header = {};
        header.msg_iov = &received_parts_[i];
        header.msg_iovlen = 1;
        header.msg_control = received_controls_[i].octets;
        header.msg_controllen = sizeof received_controls_[i].octets;
      }
      const int count = recvmmsg(udp_, received_, kReceives, MSG_DONTWAIT, nullptr);
      if (count <= 0) break;
      any = true;
      for (int i = 0; i < count; i++) {
        msghdr& header = received_[i].msg_hdr;
        size_t segment = received_[i].msg_len;
        for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
          if (control->cmsg_level != SOL_UDP || control->cmsg_type != UDP_GRO) continue;
          int octets;
          memcpy(&octets, CMSG_DATA(control), sizeof octets);
          segment = static_cast<size_t>(octets);
        }
        total += received_[i].msg_len;
        uint8_t* data = in_.get() + static_cast<size_t>(i) * kPacketMax;
        for (size_t at = 0; at < received_[i].msg_len; at += segment) {
          const size_t left = received_[i].msg_len - at;
          Open(data + at, left < segment ? left : segment);
        }
      }
      // The buffers are read again: what stands in them has to go first.
      for (Flow& flow : flows_) Write(flow);
      if (count < static_cast<int>(kReceives)) break;
    }
    return any;
  }

  void Open(uint8_t* datagram, size_t length) {
    if (length < kAdded + 20 || !aead_.Open(datagram, kFront, length - kFront - kTagOctets)) return;
    uint8_t* packet = datagram + kFront;
    length -= kAdded;
    const size_t ip = (packet[0] & 15u) * 4;
    if (packet[0] >> 4 != 4 || packet[9] != 6 || length < ip + 20 || (Load16(packet + 6) & 0x3fff) != 0)
      return WriteOne(packet, length);
    const size_t headers = ip + (packet[ip + 12] >> 4) * 4u;
    const size_t payload = length - headers;
    const uint32_t sequence = Load32(packet + ip + 4);
    const uint8_t flags = packet[ip + 13];
    Flow* flow = nullptr;
    for (Flow& one : flows_) {
      if (one.count == 0) {
        if (flow == nullptr) flow = &one;
      } else if (memcmp(one.first + 12, packet + 12, 8) == 0 && memcmp(one.first + ip, packet + ip, 4) == 0) {
        flow = &one;
        break;
      }
    }
    if (flow == nullptr) flow = &flows_[sequence % kFlows];
    const bool fits = flow->count > 0 && flow->count < kRunSegments && headers == flow->headers &&
                      sequence == flow->next && payload <= flow->segment && payload > 0 &&
                      flow->octets + payload <= 65000 && (flags & ~0x08) == 0x10 && packet[1] == flow->first[1] &&
                      memcmp(flow->first + ip + 20, packet + ip + 20, headers - ip - 20) == 0 &&
                      memcmp(flow->first + ip + 8, packet + ip + 8, 4) == 0 && packet[8] == flow->first[8];
    const size_t tcp = length - ip;
    const bool is_sound = Fold(Sum(PseudoSum(packet, tcp), packet + ip, tcp)) == 0xffff;
    if (fits && is_sound) {
      flow->parts[flow->count++ + 2] = {packet + headers, payload};
      flow->octets += payload;
      flow->next += static_cast<uint32_t>(payload);
      flow->first[ip + 13] |= flags;
      if (payload < flow->segment || (flags & 0x08) != 0) Write(*flow);
      return;
    }
    Write(*flow);
    if (!is_sound || payload == 0 || flags != 0x10) return WriteOne(packet, length);
    flow->count = 1;
    flow->first = packet;
    flow->headers = headers;
    flow->segment = flow->octets = payload;
    flow->next = sequence + static_cast<uint32_t>(payload);
    flow->parts[2] = {packet + headers, payload};
  }

  void Write(Flow& flow) {
    const uint32_t count = flow.count;
    flow.count = 0;
    if (count == 0) return;
    if (count == 1) return WriteOne(flow.first, flow.headers + flow.octets);
    uint8_t* packet = flow.first;
    const size_t ip = (packet[0] & 15u) * 4;
    Store16(packet + 2, flow.headers + flow.octets);
    memset(packet + 10, 0, 2);
    const uint16_t ip_sum = static_cast<uint16_t>(~Fold(Sum(0, packet, ip)));
    memcpy(packet + 10, &ip_sum, 2);
    const uint16_t sum = Fold(PseudoSum(packet, flow.headers - ip + flow.octets));
    memcpy(packet + ip + 16, &sum, 2);
    VnetHeader header = {1, 1, static_cast<uint16_t>(flow.headers), static_cast<uint16_t>(flow.segment),
                         static_cast<uint16_t>(ip), 16};
    flow.parts[0] = {&header, kVnet};
    flow.parts[1] = {packet, flow.headers};
    if (writev(tun_, flow.parts, static_cast<int>(count) + 2) < 0 && errno != EAGAIN && errno != EIO && errno != ENOBUFS)
      Fail("write of a superpacket to the TUN device");
  }

  void WriteOne(uint8_t* packet, size_t length) {
    VnetHeader header = {};
    const iovec parts[] = {{&header, kVnet}, {packet, length}};
    if (writev(tun_, parts, 2) < 0 && errno != EAGAIN && errno != EIO && errno != ENOBUFS)
      Fail("write to the TUN device");
  }

  struct alignas(cmsghdr) Control {
    uint8_t octets[64];
  };

  int tun_, udp_;
  Aead aead_;
  uint64_t sequence_ = 0;
  std::unique_ptr<uint8_t[]> out_, in_;
  uint8_t packet_[kPacketMax];
  uint32_t runs_ = 0;
  Run run_[kMessages];
  mmsghdr messages_[kMessages], received_[kReceives];
  iovec parts_[kMessages], received_parts_[kReceives];
  Control controls_[kMessages], received_controls_[kReceives];
  Flow flows_[kFlows];
};

int OpenTun(const char* name) {
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request = {};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0)
    Fail("TUN device");
  return fd;
}

sockaddr_in AddressOf(const char* text, const char* port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(port)));
  if (inet_pton(AF_INET, text, &address.sin_addr) != 1) Fail(text);
  return address;
}

int OpenUdp(const char* local, const char* remote, const char* port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  const sockaddr_in own = AddressOf(local, port);
  const sockaddr_in peer = AddressOf(remote, port);
  const int on = 1;
  const int buffer = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  if (fd < 0 || setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) < 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof own) < 0 ||
      connect(fd, reinterpret_cast<const sockaddr*>(&peer), sizeof peer) < 0)
    Fail("UDP socket");
  return fd;
}

}  // namespace

int main(int count, char** words) {
  uint8_t key[kKeyOctets];
  if (count != 6 || strlen(words[5]) != 2 * kKeyOctets) {
    fprintf(stderr, "usage: native-loop DEVICE LOCAL REMOTE PORT KEY-HEX-64\n");
    return 2;
  }
  for (size_t i = 0; i < kKeyOctets; i++) {
    const char pair[3] = {words[5][2 * i], words[5][2 * i + 1], 0};
    key[i] = static_cast<uint8_t>(strtoul(pair, nullptr, 16));
  }
  const int tun = OpenTun(words[1]);
  const int udp = OpenUdp(words[2], words[3], words[4]);
  printf("ready, %s\n", Aead::Name());
  fflush(stdout);
  std::make_unique<Loop>(tun, udp, key)->RunForever();
}
