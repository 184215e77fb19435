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

uint32_t PacketIo::CutSegments(TunState& tun, Batch& batch, uint32_t count) {
  while (count < batch.capacity && tun.segmenter.HasMore()) {
    const size_t length = tun.segmenter.NextLength();
    if (length > batch.packet_room()) {
      counters_.oversized++;
      tun.segmenter.Stop();
      break;
    }
    uint8_t* packet = batch.cell(count) + batch.headroom;
    tun.segmenter.Cut(packet);
    batch.offset[count] = static_cast<uint32_t>(packet - batch.bytes);
    batch.length[count] = static_cast<uint32_t>(length);
    batch.status[count] = kPacketOk;
    count++;
  }
  return count;
}

// False when there is nothing more to read.
bool PacketIo::ReadPacket(TunState& tun, Batch& batch, uint32_t* count) {
  VnetHeader header = {};
  iovec parts[] = {{&header, kVnetHeader}, {tun.octets.get(), kReadOctets}};
  const ssize_t octets = readv(tun.fd, parts, 2);
  if (octets < 0) {
    if (errno == EINTR) return true;
    if (errno != EAGAIN) ReadFailed(errno);
    return false;
  }
  if (static_cast<size_t>(octets) <= kVnetHeader) return true;
  const size_t length = static_cast<size_t>(octets) - kVnetHeader;
  if (header.gso_type != kVnetGsoNone) {
    if (tun.segmenter.Begin(header, tun.octets.get(), length)) {
      counters_.superpackets_read++;
      *count = CutSegments(tun, batch, *count);
    } else {
      counters_.bad_vnet_header++;
    }
    return true;
  }
  if (length > batch.packet_room()) {
    counters_.oversized++;
    return true;
  }
  if ((header.flags & kVnetNeedsChecksum) != 0 &&
      !FinishChecksum(tun.octets.get(), length, header.checksum_start, header.checksum_offset)) {
    counters_.bad_vnet_header++;
    return true;
  }
  uint8_t* packet = batch.cell(*count) + batch.headroom;
  memcpy(packet, tun.octets.get(), length);
  batch.offset[*count] = static_cast<uint32_t>(packet - batch.bytes);
  batch.length[*count] = static_cast<uint32_t>(length);
  batch.status[*count] = kPacketOk;
  (*count)++;
  return true;
}

uint32_t PacketIo::ReadTun(int fd, Batch& batch) {
  TunState& tun = TunOf(fd);
  uint32_t count = CutSegments(tun, batch, 0);
  // Bounds the work when the packets that come are none that a lane may see.
  for (uint32_t reads = 0; reads < batch.capacity && count < batch.capacity; reads++)
    if (!ReadPacket(tun, batch, &count)) break;
  return count;
}

void PacketIo::WriteOne(int fd, Batch& batch, uint32_t i) {
  VnetHeader header = {};
  Packet packet;
  ssize_t written = -1;
  if (batch.Find(i, &packet) && packet.length > 0) {
    const iovec parts[] = {{&header, kVnetHeader}, {packet.data, packet.length}};
    written = WriteParts(fd, parts, 2);
  }
  if (written >= 0) return;
  counters_.tun_write_errors++;
  batch.status[i] = kPacketNotSent;
}

void PacketIo::WriteRun(TunState& tun, Batch& batch, TcpRun& run) {
  bool is_written = false;
  if (run.count > 1) {
    uint8_t headers[kTcpHeadersMax];
    VnetHeader header = run.WriteHeaders(headers);
    iovec parts[TcpRun::kSegmentsMax + 2] = {{&header, kVnetHeader}, {headers, run.tcp.headers}};
    int count = 2;
    for (uint32_t k = 0; k < run.count; k++) {
      Packet packet;
      if (batch.Find(run.packets[k], &packet))
        parts[count++] = {packet.data + run.tcp.headers, packet.length - run.tcp.headers};
    }
    is_written = WriteParts(tun.fd, parts, count) >= 0;
    if (is_written) counters_.superpackets_written++;
  }
  if (!is_written) {
    const uint64_t failed = counters_.tun_write_errors;
    for (uint32_t k = 0; k < run.count; k++) WriteOne(tun.fd, batch, run.packets[k]);
    // The device takes them one by one, so it is the superpacket that it does not like.
    if (run.count > 1 && counters_.tun_write_errors == failed) {
      tun.refuses_superpackets = true;
      counters_.offload_refusals++;
    }
  }
  run.count = 0;
}

// False when the packet must be written by itself, behind what its flow had before.
bool PacketIo::Collect(TunState& tun, Batch& batch, uint32_t i) {
  Packet packet;
  TcpPacket tcp;
  if (!batch.Find(i, &packet) || !tcp.Parse(packet.data, packet.length)) return false;
  const bool is_eligible = TcpRun::IsEligible(tcp, packet.data, packet.length);
  TcpRun* idle = nullptr;
  for (TcpRun& run : runs_) {
    if (run.count == 0) {
      if (idle == nullptr) idle = &run;
      continue;
    }
    if (!run.IsSameFlow(tcp, packet.data)) continue;
    if (is_eligible && run.CanTake(tcp, packet.data, packet.length)) {
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
  idle->Start(tcp, packet.data, packet.length, i);
  return true;
}

void PacketIo::WriteTun(int fd, Batch& batch, uint32_t count) {
  TunState& tun = TunOf(fd);
  for (uint32_t i = 0; i < count; i++) {
    if (batch.status[i] != kPacketOk) continue;
    if (!coalesces_ || tun.refuses_superpackets || !Collect(tun, batch, i)) WriteOne(fd, batch, i);
  }
  for (TcpRun& run : runs_)
    if (run.count > 0) WriteRun(tun, batch, run);
}

}  // namespace tungate
