// Control messages of outgoing datagrams: the address to leave from and the traffic class.
#ifndef TUNGATE_CONTROL_MESSAGE_H
#define TUNGATE_CONTROL_MESSAGE_H

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tungate {

class SendControl {
 public:
  // Points `header` here. `local` has 4 or 16 octets; null lets the kernel choose.
  void Write(msghdr* header, int family, const uint8_t* local, uint8_t tos) {
    used_ = 0;
    if (family == AF_INET) {
      if (local != nullptr) {
        in_pktinfo packet = {};
        memcpy(&packet.ipi_spec_dst, local, 4);
        Append(IPPROTO_IP, IP_PKTINFO, &packet, sizeof packet);
      }
    } else if (local != nullptr) {
      in6_pktinfo packet = {};
      memcpy(&packet.ipi6_addr, local, 16);
      Append(IPPROTO_IPV6, IPV6_PKTINFO, &packet, sizeof packet);
    }
    const int traffic_class = tos;
    Append(family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, family == AF_INET ? IP_TOS : IPV6_TCLASS, &traffic_class,
           sizeof traffic_class);
    header->msg_control = octets_;
    header->msg_controllen = used_;
  }

  // Makes the payload a run of datagrams of this size, of which the last may be shorter.
  void AddSegmentSize(msghdr* header, uint16_t octets) {
    const size_t before = used_;
    Append(SOL_UDP, UDP_SEGMENT, &octets, sizeof octets);
    header->msg_controllen = used_;
    used_ = before;
  }
  void RemoveSegmentSize(msghdr* header) const { header->msg_controllen = used_; }

 private:
  void Append(int level, int type, const void* value, size_t size) {
    auto* message = reinterpret_cast<cmsghdr*>(octets_ + used_);
    message->cmsg_level = level;
    message->cmsg_type = type;
    message->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(message), value, size);
    used_ += CMSG_SPACE(size);
  }

  alignas(cmsghdr) uint8_t octets_[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t))];
  size_t used_ = 0;
};

// Whether a send may have failed for what ICMP said about an earlier packet.
inline bool IsErrorOfAnother(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN ||
         error == ENOPROTOOPT || error == EPROTO || error == EMSGSIZE;
}

}  // namespace tungate

#endif
