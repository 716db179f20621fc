// SPDX-License-Identifier: BSL-1.0
// The place where one thread sleeps when it has nothing to do.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/sync/platform/wait.hpp>

#include <atomic>
#include <cstdint>

namespace genserver::inline v0 {

/// Lets its one owner sleep until anyone unparks it; an unpark that comes first is remembered.
///
/// Threads: park() by one thread at a time, unpark() by any.
class Parker {
 public:
  /// Sleeps, unless unpark() was called since the last park().
  ///
  /// Blocks:   until unpark() or the deadline.
  /// Ordering: what was written before an unpark() is visible after the park() that it ended.
  void park(Deadline deadline) noexcept;

  /// Returns whether the next park() would end at once; for spinning.
  [[nodiscard]] bool is_notified() const noexcept {
    return state_.load(std::memory_order_relaxed) == notified;  // park() synchronizes
  }

  /// Ends the running or the next park().
  void unpark() noexcept {
    if (state_.exchange(notified, std::memory_order_release) == parked) {  // P1
      wake_all(&state_);
    }
  }

 private:
  enum : std::uint32_t { empty, parked, notified };

  //   P1  unpark(): exchange to `notified`, release ──▶ park(): exchange to `empty`, acquire
  // The token is consumed by an exchange, not by a store: a store would overwrite an unpark()
  // that lands between it and the load before, and that wake-up would be lost.
  std::atomic<std::uint32_t> state_{empty};
};

inline void Parker::park(Deadline deadline) noexcept {
  std::uint32_t seen = empty;
  // Relaxed: success only announces a sleeper, and failure is followed by the exchange below.
  if (state_.compare_exchange_strong(seen, parked, std::memory_order_relaxed)) {
    // Relaxed: only whether to sleep on; ends by unpark() or the deadline.
    while (state_.load(std::memory_order_relaxed) == parked) {
      if (!sleep_while_equal(state_, parked, deadline)) break;
    }
  }
  state_.exchange(empty, std::memory_order_acquire);  // P1
}

}  // namespace genserver::v0
