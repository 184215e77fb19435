// A lane's transfers: batches between the arena and TUN queues or sockets.
#ifndef TUNGATE_PACKET_IO_H
#define TUNGATE_PACKET_IO_H

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "batch.h"
#include "control_message.h"
#include "memfd.h"
#include "sa_table.h"
#include "tun_coalesce.h"
#include "tun_segment.h"

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
  uint64_t superpackets_read = 0;
  uint64_t superpackets_written = 0;
  uint64_t datagram_runs_received = 0;
  uint64_t datagram_runs_sent = 0;
  uint64_t offload_refusals = 0;
  uint64_t send_run_refusals = 0;
  uint64_t tiny_segments = 0;
  uint64_t udp_run_refusals = 0;
};
constexpr size_t kPacketIoCounters = sizeof(PacketIoCounters) / sizeof(uint64_t);

struct Socket {
  int fd;
  // AF_INET or AF_INET6.
  int family;
  bool is_raw;
  uint16_t local_port;
};

// In the result of a read: there may be more. Above every capacity.
constexpr uint32_t kReadMore = 1u << 20;
static_assert(kReadMore > kBatchCapacityMax);

// A TUN queue: what its device refused to take merged.
struct TunState {
  int fd;
  bool refuses_tcp_runs = false;
  bool refuses_udp_runs = false;
};

// A socket: whether its device refused to send runs, whether packets came that many short reads have no room for, and
// whether packets bring their own IP header.
struct SocketState {
  int fd;
  bool refuses_runs = false;
  bool gets_long_packets = false;
  bool takes_whole_packets = false;
};

// What one recvmmsg put into a batch's arena.
struct Received {
  static constexpr uint32_t kMessagesMax = 64;

  explicit Received(const Batch& batch);
  // Divides the arena anew, when nothing is left in it.
  void Divide(const Batch& batch, size_t octets);
  void Reset(uint32_t message);

  // The socket that it came from.
  int fd = -1;
  uint8_t* arena;
  size_t stride = 0;
  uint32_t places = 0;
  uint32_t received = 0;
  uint32_t next = 0;
  // Octets of the message `next` that are in the batch's columns already.
  size_t at = 0;
  // The number that the columns of the last datagram have: neighbours with the same one have the same source information.
  uint32_t origin = 0;
  mmsghdr messages[kMessagesMax];
  iovec parts[kMessagesMax];
  sockaddr_storage names[kMessagesMax];
  struct alignas(cmsghdr) Control {
    uint8_t octets[kControlOctets];
  } controls[kMessagesMax];
};

class PacketIo {
 public:
  PacketIo(bool sends_runs, bool coalesces) : sends_runs_(sends_runs), coalesces_(coalesces) {}

  // False when the memory holds no SA table.
  bool Attach(std::shared_ptr<Mapping> table);

  // How many frames were placed in the batch, and kReadMore unless the queue is empty.
  uint32_t ReadTun(int fd, Batch& frames);
  // Packets `first` to `count`, ended early after `writes_max` calls of the system; the first that is left.
  uint32_t WriteTun(int fd, Batch& batch, uint32_t first, uint32_t count, uint32_t writes_max);
  // How many datagrams are in the batch, and kReadMore unless the socket is empty.
  uint32_t Receive(const Socket& socket, Batch& batch);
  // Fragmentable: DF is clear in the IPv4 header, whatever the socket's own setting.
  void Send(const Socket& socket, Batch& batch, uint32_t count, bool is_fragmentable);

  const PacketIoCounters& counters() const { return counters_; }

 private:
  static constexpr uint32_t kSendChunk = 1024;
  // Flows that are collected at the same time.
  static constexpr uint32_t kRuns = 8;

  TunState& TunOf(int fd);
  bool ReadFrame(int fd, Batch& frames, uint32_t count, size_t at, size_t* octets);
  bool DescribeFrame(VnetHeader header, Batch& frames, uint32_t i, size_t at, size_t length);
  void WriteOne(int fd, Batch& batch, uint32_t i);
  void WriteRun(TunState& tun, Batch& batch, PacketRun& run);
  bool Collect(TunState& tun, Batch& batch, uint32_t i);
  void ReadFailed(int error);

  SocketState& SocketOf(int fd);
  bool Refill(const Socket& socket, Batch& batch, Received& received);
  uint32_t PlaceDatagrams(const Socket& socket, Received& received, Batch& batch, uint32_t count);

  struct Message {
    // Its packets are `count` entries of packets_ from `first` on, in `pieces` entries of parts_ from `first_part` on.
    uint32_t first;
    uint32_t count;
    uint32_t first_part;
    uint32_t pieces;
    size_t segment;
    size_t octets;
    uint32_t endpoint;
    uint8_t tos;
    // A shorter segment ends the run.
    bool is_closed;
  };
  bool JoinRun(const Batch& batch, uint32_t i, const Packet& packet);
  bool PrepareSend(const Socket& socket, Batch& batch, uint32_t i, const Packet& packet);
  void SendPrepared(const Socket& socket, Batch& batch, bool is_fragmentable);
  void Transmit(const Socket& socket, Batch& batch);
  void SendSingly(const Socket& socket, Batch& batch, uint32_t message, int refusal);
  void SendFailed(Batch& batch, uint32_t i, int error);
  int SendMessage(const Socket& socket, const msghdr& header);

  std::shared_ptr<Mapping> memory_;
  SaTableView table_;
  PacketIoCounters counters_;
  bool sends_runs_;
  bool coalesces_;
  // The batch that is being sent has not waited in vain yet.
  bool may_wait_ = true;
  std::vector<std::unique_ptr<TunState>> tuns_;
  std::vector<std::unique_ptr<SocketState>> sockets_;

  PacketRun runs_[kRuns];
  // Calls that this write of a batch has made.
  uint32_t tun_writes_ = 0;

  uint32_t prepared_packets_ = 0;
  uint32_t prepared_parts_ = 0;
  uint32_t prepared_messages_ = 0;
  Message prepared_[kSendChunk];
  mmsghdr messages_[kSendChunk];
  sockaddr_storage names_[kSendChunk];
  SendControl controls_[kSendChunk];
  // Pieces of memory; packets that lie one behind the other are one.
  iovec parts_[kSendChunk];
  // Which packets of the batch are sent.
  uint32_t packets_[kSendChunk];
};

}  // namespace tungate

#endif
