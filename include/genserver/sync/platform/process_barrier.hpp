// SPDX-License-Identifier: BSL-1.0
// A memory barrier that one thread imposes on all threads of the process.
#pragma once

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace genserver::inline v0 {

/// Lets a rare operation pay for the barrier that a frequent one would need otherwise: a store
/// followed by a load of something else, which processors, and caches, may turn round.
///
///   frequent                          rare
///   a.store(1)                        b.store(1)
///   (nothing but a signal fence)      impose()
///   b.load()                          a.load()         at least one of the two reads 1
///
/// Without the system's support is_there() is false, and the frequent side needs an exchange.
///
/// Source: membarrier(2); Goldblatt, "Asymmetric Fences", P1202.
class ProcessBarrier {
 public:
  /// Returns whether impose() works. Decided once, with a system call.
  [[gnu::visibility("default")]] static bool is_there() noexcept {
    static const bool is_registered = call(register_expedited) == 0;
    return is_registered;
  }

  /// Every thread of the process passes a full barrier before this returns. Returns false if the
  /// system refuses it, though is_there() said that it would not.
  ///
  /// Cost: some microseconds; an interrupt on each processor that runs one of the threads.
  [[nodiscard]] static bool impose() noexcept { return call(expedited) == 0; }

 private:
  static constexpr int expedited = 1 << 3;           // MEMBARRIER_CMD_PRIVATE_EXPEDITED
  static constexpr int register_expedited = 1 << 4;  // MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED

  static long call([[maybe_unused]] int command) noexcept {
#if defined(__linux__) && defined(SYS_membarrier)
    return ::syscall(SYS_membarrier, command, 0, 0);
#else
    return -1;
#endif
  }
};

}  // namespace genserver::v0
