// A lane's transfers: batches between the arena and TUN queues or sockets.
#ifndef TUNGATE_PACKET_IO_H
#define TUNGATE_PACKET_IO_H

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "batch.h"
#include "control_message.h"
#include "memfd.h"
#include "sa_table.h"

namespace tungate {

// In the order of PacketIoCounters in src/io/native-packet-io.ts.
struct PacketIoCounters {
  uint64_t oversized = 0;
  uint64_t bad_vnet_header = 0;
  uint64_t read_errors = 0;
  uint64_t bad_datagrams = 0;
  uint64_t tun_write_errors = 0;
  uint64_t send_errors = 0;
  uint64_t send_too_big = 0;
  uint64_t send_retries = 0;
  uint64_t last_send_errno = 0;
  uint64_t last_read_errno = 0;
};
constexpr size_t kPacketIoCounters = sizeof(PacketIoCounters) / sizeof(uint64_t);

struct Socket {
  int fd;
  // AF_INET or AF_INET6.
  int family;
  bool is_raw;
  uint16_t local_port;
};

class PacketIo {
 public:
  // False when the memory holds no SA table.
  bool Attach(std::shared_ptr<Mapping> table);

  // How many packets were placed in the batch.
  uint32_t ReadTun(int fd, Batch& batch);
  void WriteTun(int fd, Batch& batch, uint32_t count);
  uint32_t Receive(const Socket& socket, Batch& batch);
  void Send(const Socket& socket, Batch& batch, uint32_t count);

  const PacketIoCounters& counters() const { return counters_; }

 private:
  static constexpr uint32_t kSendChunk = 128;

  bool AcceptFromTun(Batch& batch, uint32_t cell, uint32_t packet, size_t octets);
  void ReadFailed(int error);
  bool AcceptDatagram(const Socket& socket, Batch& batch, uint32_t cell, uint32_t packet);
  bool PrepareSend(const Socket& socket, Batch& batch, uint32_t i, uint32_t place);
  void SendChunk(const Socket& socket, Batch& batch, uint32_t prepared);
  void SendFailed(Batch& batch, uint32_t i, int error);

  std::shared_ptr<Mapping> memory_;
  SaTableView table_;
  PacketIoCounters counters_;

  mmsghdr messages_[kSendChunk];
  iovec parts_[kSendChunk];
  sockaddr_storage names_[kSendChunk];
  SendControl controls_[kSendChunk];
  // Which packet of the batch each message is.
  uint32_t packets_[kSendChunk];
};

}  // namespace tungate

#endif
