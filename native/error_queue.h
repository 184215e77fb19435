// Octet offsets of one report of a socket's error queue, as src/io/error-queue.ts reads it.
#ifndef TUNGATE_ERROR_QUEUE_H
#define TUNGATE_ERROR_QUEUE_H

#include <cstddef>

namespace tungate::error_report {

constexpr size_t kFamily = 0;
constexpr size_t kOrigin = 1;
constexpr size_t kType = 2;
constexpr size_t kCode = 3;
// Host order.
constexpr size_t kInfo = 4;
constexpr size_t kErrno = 8;
constexpr size_t kRemotePort = 12;
constexpr size_t kQuotedLength = 14;
constexpr size_t kRemote = 16;
constexpr size_t kOffender = 32;
constexpr size_t kQuoted = 48;
constexpr size_t kQuotedMost = 48;
constexpr size_t kStride = 96;

}  // namespace tungate::error_report

#endif
