// Packets between TUN queues and the arena: superpackets are cut on the way in and made on the way out.
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "checksum.h"
#include "packet_io.h"
#include "vnet_header.h"

namespace tungate {

namespace {

// Finishes a checksum that the host left to the device. False when the header points outside the packet.
bool FinishChecksum(uint8_t* packet, size_t length, size_t start, size_t offset) {
  if (start >= length || offset % 2 != 0 || offset + 2 > length - start) return false;
  // The field holds the sum of the pseudo header.
  uint16_t checksum = static_cast<uint16_t>(~FoldSum(AddOctets(0, packet + start, length - start)));
  // In UDP zero means that there is no checksum; both forms are equal to every receiver.
  if (checksum == 0) checksum = 0xffff;
  memcpy(packet + start + offset, &checksum, 2);
  return true;
}

ssize_t WriteParts(int fd, const iovec* parts, int count) {
  ssize_t written;
  do {
    written = writev(fd, parts, count);
  } while (written < 0 && errno == EINTR);
  return written;
}

}  // namespace

TunState& PacketIo::TunOf(int fd) {
  for (const std::unique_ptr<TunState>& tun : tuns_)
    if (tun->fd == fd) return *tun;
  tuns_.push_back(std::make_unique<TunState>());
  tuns_.back()->fd = fd;
  return *tuns_.back();
}

void PacketIo::ReadFailed(int error) {
  counters_.read_errors++;
  counters_.last_read_errno = static_cast<uint64_t>(error);
}

// Fills the columns of frame `i`. False when the header makes no sense: counted.
bool PacketIo::DescribeFrame(VnetHeader header, Batch& frames, uint32_t i, size_t at, size_t length) {
  uint8_t* packet = frames.bytes + at;
  uint32_t segments = 1;
  size_t longest = length;
  const uint8_t kind = header.gso_type & static_cast<uint8_t>(~kVnetGsoEcn);
  if (kind != kVnetGsoNone) {
    Segmenter segmenter;
    if (!segmenter.Begin(kind, header.gso_size, packet, length)) {
      counters_.bad_vnet_header++;
      return false;
    }
    segments = segmenter.count();
    longest = segmenter.LengthOf(0);
    if (segments > kFrameSegmentsMax) {
      counters_.tiny_segments++;
      return false;
    }
    counters_.superpackets_read++;
  } else if ((header.flags & kVnetNeedsChecksum) != 0 &&
             !FinishChecksum(packet, length, header.checksum_start, header.checksum_offset)) {
    counters_.bad_vnet_header++;
    return false;
  }
  frames.offset[i] = static_cast<uint32_t>(at);
  frames.length[i] = static_cast<uint32_t>(length);
  frames.status[i] = kPacketOk;
  frames.frames.kind[i] = kind;
  frames.frames.segment_length[i] = kind == kVnetGsoNone ? 0 : header.gso_size;
  frames.frames.segments[i] = static_cast<uint16_t>(segments);
  frames.frames.packet_length[i] = static_cast<uint32_t>(longest);
  return true;
}

// Reads into the arena from `at` on; `octets` are 0 when nothing came that a lane may see. False when there is no more.
bool PacketIo::ReadFrame(int fd, Batch& frames, uint32_t count, size_t at, size_t* octets) {
  VnetHeader header = {};
  iovec parts[] = {{&header, kVnetHeader}, {frames.bytes + at, kFrameOctetsMax}};
  const ssize_t received = readv(fd, parts, 2);
  *octets = 0;
  if (received < 0) {
    if (errno == EINTR) return true;
    if (errno != EAGAIN) ReadFailed(errno);
    return false;
  }
  if (static_cast<size_t>(received) <= kVnetHeader) return true;
  const size_t length = static_cast<size_t>(received) - kVnetHeader;
  if (DescribeFrame(header, frames, count, at, length)) *octets = length;
  return true;
}

uint32_t PacketIo::ReadTun(int fd, Batch& frames) {
  uint32_t count = 0;
  size_t at = 0;
  uint32_t more = kReadMore;
  frames.frames.cursor[0] = frames.frames.cursor[1] = 0;
  // Bounds the work when the packets that come are none that a lane may see.
  for (uint32_t reads = 0; reads < frames.capacity; reads++) {
    size_t octets = 0;
    if (at + kFrameOctetsMax > frames.octets) break;
    if (!ReadFrame(fd, frames, count, at, &octets)) {
      more = 0;
      break;
    }
    if (octets == 0) continue;
    count++;
    at = (at + octets + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment;
  }
  return count | more;
}

void PacketIo::WriteOne(int fd, Batch& batch, uint32_t i) {
  VnetHeader header = {};
  Packet packet;
  ssize_t written = -1;
  tun_writes_++;
  if (batch.Find(i, &packet) && packet.length > 0) {
    const iovec parts[] = {{&header, kVnetHeader}, {packet.data, packet.length}};
    written = WriteParts(fd, parts, 2);
  }
  if (written >= 0) return;
  counters_.tun_write_errors++;
  batch.status[i] = kPacketNotSent;
}

void PacketIo::WriteRun(TunState& tun, Batch& batch, PacketRun& run) {
  bool is_written = false;
  bool& refuses = run.transport.is_tcp ? tun.refuses_tcp_runs : tun.refuses_udp_runs;
  if (run.count > 1 && !refuses) {
    uint8_t headers[kTransportHeadersMax];
    const size_t skipped = run.transport.headers;
    VnetHeader header = run.WriteHeaders(headers);
    iovec parts[PacketRun::kSegmentsMax + 2] = {{&header, kVnetHeader}, {headers, skipped}};
    int count = 2;
    for (uint32_t k = 0; k < run.count; k++) {
      Packet packet;
      if (batch.Find(run.packets[k], &packet)) parts[count++] = {packet.data + skipped, packet.length - skipped};
    }
    tun_writes_++;
    is_written = WriteParts(tun.fd, parts, count) >= 0;
    if (is_written) counters_.superpackets_written++;
  }
  if (!is_written) {
    const uint64_t failed = counters_.tun_write_errors;
    for (uint32_t k = 0; k < run.count; k++) WriteOne(tun.fd, batch, run.packets[k]);
    // The device takes them one by one, so it is the superpacket that it does not like.
    if (run.count > 1 && !refuses && counters_.tun_write_errors == failed) {
      refuses = true;
      counters_.offload_refusals++;
      if (!run.transport.is_tcp) counters_.udp_run_refusals++;
    }
  }
  run.count = 0;
}

// False when the packet must be written by itself, behind what its flow had before.
bool PacketIo::Collect(TunState& tun, Batch& batch, uint32_t i) {
  Packet packet;
  TransportPacket transport;
  if (!batch.Find(i, &packet) || !transport.Parse(packet.data, packet.length)) return false;
  const bool is_eligible = !(transport.is_tcp ? tun.refuses_tcp_runs : tun.refuses_udp_runs) &&
                           PacketRun::IsEligible(transport, packet.data, packet.length);
  PacketRun* idle = nullptr;
  for (PacketRun& run : runs_) {
    if (run.count == 0) {
      if (idle == nullptr) idle = &run;
      continue;
    }
    if (!run.IsSameFlow(transport, packet.data)) continue;
    if (is_eligible && run.CanTake(transport, packet.data, packet.length)) {
      run.Take(packet.data, packet.length, i);
      return true;
    }
    WriteRun(tun, batch, run);
    idle = &run;
    break;
  }
  if (!is_eligible) return false;
  if (idle == nullptr) {
    idle = &runs_[i % kRuns];
    WriteRun(tun, batch, *idle);
  }
  idle->Start(transport, packet.data, packet.length, i);
  return true;
}

uint32_t PacketIo::WriteTun(int fd, Batch& batch, uint32_t first, uint32_t count, uint32_t writes_max) {
  TunState& tun = TunOf(fd);
  tun_writes_ = 0;
  uint32_t i = first;
  for (; i < count && tun_writes_ < writes_max; i++) {
    if (batch.status[i] != kPacketOk) continue;
    if (!coalesces_ || !Collect(tun, batch, i)) WriteOne(fd, batch, i);
  }
  for (PacketRun& run : runs_)
    if (run.count > 0) WriteRun(tun, batch, run);
  return i;
}

}  // namespace tungate
