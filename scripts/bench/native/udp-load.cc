// Sends UDP datagrams at a rate, many per system call, so that the sender takes little of the machine that is measured.
//
//   udp-load send ADDRESS PORT OCTETS MILLISECONDS PACKETS-PER-SECOND (0: as many as possible) FLOWS
//   udp-load sink PORT FILE                                           (reads until it is ended)
//
// `send` prints how many were sent and in how many seconds. Each flow has a source port of its own. Datagrams of 8 octets
// and more are numbered; FILE holds, in the machine's byte order, two counters of 64 bits: received, and come behind a
// later one of the same run.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

namespace {

constexpr uint32_t kBurst = 32;
// Grain of the pacing: a sender that wakes up more often has no time to send.
constexpr double kTickSeconds = 100e-6;
// What a paced sender may catch up when it was not scheduled.
constexpr double kBacklogSeconds = 2e-3;

[[noreturn]] void Fail(const char* what) {
  fprintf(stderr, "udp-load: %s: %s\n", what, strerror(errno));
  exit(1);
}

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Number {
  uint32_t run, place;
};

struct Counters {
  volatile uint64_t received, late;
};

Counters* CountersIn(const char* path) {
  const int fd = open(path, O_RDWR | O_CREAT, 0644);
  if (fd < 0 || ftruncate(fd, sizeof(Counters)) < 0) Fail(path);
  void* memory = mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) Fail(path);
  return static_cast<Counters*>(memory);
}

int Sink(uint16_t port, const char* path) {
  Counters* counters = CountersIn(path);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const int octets = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets);
  sockaddr_in own = {};
  own.sin_family = AF_INET;
  own.sin_port = htons(port);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof own) < 0) Fail("bind");
  puts("ready");
  fflush(stdout);
  // Longer datagrams are cut: the rest is of no interest.
  static uint8_t octet[kBurst][64];
  mmsghdr messages[kBurst] = {};
  iovec parts[kBurst];
  for (uint32_t i = 0; i < kBurst; i++) {
    parts[i] = {octet[i], sizeof octet[i]};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  Number last = {};
  for (;;) {
    const int count = recvmmsg(fd, messages, kBurst, MSG_WAITFORONE, nullptr);
    if (count < 0 && errno != EINTR) Fail("receive");
    for (int i = 0; i < count; i++) {
      Number number;
      memcpy(&number, octet[i], sizeof number);
      if (number.run == last.run && number.place < last.place) counters->late = counters->late + 1;
      else last = number;
    }
    if (count > 0) counters->received = counters->received + static_cast<uint64_t>(count);
  }
}

struct Order {
  sockaddr_in to;
  size_t octets;
  double seconds, rate;
  size_t flows;
};

int Send(const Order& order) {
  std::vector<int> sockets;
  for (size_t i = 0; i < order.flows; i++) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&order.to), sizeof order.to) < 0) Fail("connect");
    sockets.push_back(fd);
  }
  std::vector<std::vector<uint8_t>> payloads(kBurst, std::vector<uint8_t>(order.octets, 0x5a));
  mmsghdr messages[kBurst] = {};
  iovec parts[kBurst];
  for (uint32_t i = 0; i < kBurst; i++) {
    parts[i] = {payloads[i].data(), payloads[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const uint32_t run = static_cast<uint32_t>(getpid());
  const double start = Now();
  uint64_t sent = 0;
  double skipped = 0;
  for (size_t flow = 0;; flow = (flow + 1) % sockets.size()) {
    const double at = Now() - start;
    if (at >= order.seconds) break;
    uint32_t burst = kBurst;
    if (order.rate > 0) {
      double due = order.rate * at - static_cast<double>(sent) - skipped;
      if (due > order.rate * kBacklogSeconds + kBurst) {
        skipped += due - order.rate * kBacklogSeconds;
        due = order.rate * kBacklogSeconds;
      }
      if (due < 1) {
        const timespec tick = {0, static_cast<long>(kTickSeconds * 1e9)};
        nanosleep(&tick, nullptr);
        continue;
      }
      if (due < kBurst) burst = static_cast<uint32_t>(due);
    }
    // Several flows take turns packet by packet, as hosts' packets come.
    if (order.flows > 1) burst = 1;
    for (uint32_t i = 0; i < burst && order.octets >= sizeof(Number); i++) {
      const Number number = {run, static_cast<uint32_t>(sent) + i};
      memcpy(payloads[i].data(), &number, sizeof number);
    }
    const int count = sendmmsg(sockets[flow], messages, burst, 0);
    if (count > 0) sent += static_cast<uint64_t>(count);
    else if (errno != EINTR && errno != ENOBUFS && errno != ECONNREFUSED) Fail("send");
  }
  printf("{\"sent\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(sent), Now() - start);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count == 4 && strcmp(words[1], "sink") == 0) return Sink(static_cast<uint16_t>(atoi(words[2])), words[3]);
  Order order = {};
  if (count == 8 && strcmp(words[1], "send") == 0) {
    order.to.sin_family = AF_INET;
    order.to.sin_port = htons(static_cast<uint16_t>(atoi(words[3])));
    order.octets = strtoul(words[4], nullptr, 10);
    order.seconds = atof(words[5]) / 1000;
    order.rate = atof(words[6]);
    order.flows = strtoul(words[7], nullptr, 10);
    if (inet_pton(AF_INET, words[2], &order.to.sin_addr) == 1 && order.octets > 0 && order.octets <= 65507 &&
        order.seconds > 0 && order.flows > 0)
      return Send(order);
  }
  fprintf(stderr, "usage: udp-load send ADDRESS PORT OCTETS MILLISECONDS RATE FLOWS | udp-load sink PORT FILE\n");
  return 2;
}
