// Keeps senders apart whose socket options differ: DF belongs to the socket, which lanes and the main thread share.
#ifndef TUNGATE_SEND_LOCK_H
#define TUNGATE_SEND_LOCK_H

#include <cstddef>
#include <mutex>
#include <shared_mutex>

namespace tungate {

// One per socket (a few sockets may share one), for the whole process: the addon is loaded once for all its threads.
class SendLock {
 public:
  static SendLock& Of(int fd) {
    static SendLock locks[kLocks];
    return locks[static_cast<size_t>(fd) % kLocks];
  }

  // For sends with the options as they are; any number at a time.
  void lock_shared() {
    // Whoever wants to change options waits in this gate, so that steady senders cannot keep it waiting for ever.
    const std::lock_guard<std::mutex> pass(gate_);
    senders_.lock_shared();
  }
  void unlock_shared() { senders_.unlock_shared(); }

  // For sends that change options meanwhile; alone.
  void lock() {
    const std::lock_guard<std::mutex> pass(gate_);
    senders_.lock();
  }
  void unlock() { senders_.unlock(); }

 private:
  static constexpr size_t kLocks = 16;

  std::mutex gate_;
  std::shared_mutex senders_;
};

}  // namespace tungate

#endif
