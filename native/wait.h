// Blocks a thread on several descriptors and a wake-up.
#ifndef TUNGATE_WAIT_H
#define TUNGATE_WAIT_H

#include <poll.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace tungate {

// Bits of the ready array, as src/io/native-wait.ts has them.
constexpr uint8_t kReadyRead = 1;
constexpr uint8_t kReadyError = 2;
constexpr double kWaitMsMax = 1000;

struct Waiter {
  // The wake-up is the last.
  std::vector<pollfd> fds;
  std::vector<uint8_t> ready;
  // How long the next wait may take, and when the last one returned (CLOCK_BOOTTIME), in milliseconds.
  std::array<double, 2> times = {};

  // How many descriptors are ready, or -errno.
  int Wait();
  void NoteTime();
};

}  // namespace tungate

#endif
