// Packets between TUN queues and the arena, one system call each; the device has its offloads off.
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "packet_io.h"
#include "vnet_header.h"

namespace tungate {

namespace {

// Finishes a checksum that the host left to the device. False when the header points outside the packet.
bool FinishChecksum(uint8_t* packet, size_t length, size_t start, size_t offset) {
  if (start >= length || offset + 2 > length - start) return false;
  uint64_t sum = 0;
  for (size_t i = start; i + 1 < length; i += 2) sum += static_cast<uint32_t>(packet[i] << 8 | packet[i + 1]);
  if ((length - start) % 2 != 0) sum += static_cast<uint32_t>(packet[length - 1] << 8);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  uint16_t checksum = static_cast<uint16_t>(~sum);
  // In UDP zero means that there is no checksum; both forms are equal to every receiver.
  if (checksum == 0) checksum = 0xffff;
  packet[start + offset] = static_cast<uint8_t>(checksum >> 8);
  packet[start + offset + 1] = static_cast<uint8_t>(checksum);
  return true;
}

}  // namespace

void PacketIo::ReadFailed(int error) {
  counters_.read_errors++;
  counters_.last_read_errno = static_cast<uint64_t>(error);
}

uint32_t PacketIo::ReadTun(int fd, Batch& batch) {
  uint32_t count = 0;
  // Bounds the work when the packets that come are none that a lane may see.
  for (uint32_t reads = 0; reads < batch.capacity; reads++) {
    VnetHeader header = {};
    uint8_t* packet = batch.cell(count) + batch.headroom;
    // One octet more than fits tells a packet that was cut.
    iovec parts[] = {{&header, kVnetHeader}, {packet, batch.packet_room() + 1}};
    const ssize_t octets = readv(fd, parts, 2);
    if (octets < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) ReadFailed(errno);
      break;
    }
    if (static_cast<size_t>(octets) <= kVnetHeader) continue;
    const size_t length = static_cast<size_t>(octets) - kVnetHeader;
    if (length > batch.packet_room()) {
      counters_.oversized++;
      continue;
    }
    if (header.gso_type != kVnetGsoNone ||
        ((header.flags & kVnetNeedsChecksum) != 0 &&
         !FinishChecksum(packet, length, header.checksum_start, header.checksum_offset))) {
      counters_.bad_vnet_header++;
      continue;
    }
    batch.offset[count] = static_cast<uint32_t>(packet - batch.bytes);
    batch.length[count] = static_cast<uint32_t>(length);
    batch.status[count] = kPacketOk;
    count++;
  }
  return count;
}

void PacketIo::WriteTun(int fd, Batch& batch, uint32_t count) {
  VnetHeader header = {};
  for (uint32_t i = 0; i < count; i++) {
    Packet packet;
    if (batch.status[i] != kPacketOk) continue;
    ssize_t written = -1;
    if (batch.Find(i, &packet) && packet.length > 0) {
      iovec parts[] = {{&header, kVnetHeader}, {packet.data, packet.length}};
      do {
        written = writev(fd, parts, 2);
      } while (written < 0 && errno == EINTR);
    }
    if (written >= 0) continue;
    counters_.tun_write_errors++;
    batch.status[i] = kPacketNotSent;
  }
}

}  // namespace tungate
