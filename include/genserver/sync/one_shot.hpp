// SPDX-License-Identifier: BSL-1.0
// An event that happens once, and that threads wait for.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/sync/platform/wait.hpp>
#include <genserver/sync/spin_governor.hpp>

#include <atomic>
#include <cstdint>

namespace genserver {

/// Tells waiting threads, once, that something has been done.
///
///   pending ──▶ done
///      └─▶ awaited ─▲        awaited: somebody sleeps, so set() has to wake
///
/// Lifetime: it may be destroyed as soon as is_set() or a wait has returned true, even while
///           set() is still on its way out.
class OneShot {
 public:
  /// Marks it as done and wakes who waits. Called once.
  ///
  /// Ordering: what was written before is visible to who sees it done.
  void set() noexcept {
    // P1. Nothing of this object is touched afterwards but its address: it may be gone.
    if (state_.exchange(done, std::memory_order_acq_rel) == awaited) wake_all(&state_);
  }

  [[nodiscard]] bool is_set() const noexcept {
    return state_.load(std::memory_order_acquire) == done;  // P1
  }

  /// Spins while `governor` finds that this pays. Returns is_set(). Blocks: never sleeps.
  bool spin(SpinGovernor& governor) {
    return governor.spin_until([this] { return is_set(); });
  }

  /// Sleeps until it is done. Blocks: until set() or the deadline; false if that came first.
  bool sleep(Deadline deadline) noexcept;

 private:
  enum : std::uint32_t { pending, awaited, done };

  //   P1  set(): exchange to `done`, release ──▶ is_set(): acquire of `done`
  //       publishes the result that lies beside this event.
  // No wake-up is lost: pending -> awaited and the exchange are read-modify-writes of one word,
  // so either set() sees `awaited` and wakes, or the waiter's exchange fails and it stays awake.
  std::atomic<std::uint32_t> state_{pending};
};

inline bool OneShot::sleep(Deadline deadline) noexcept {
  std::uint32_t seen = pending;
  // Relaxed: it only announces a sleeper; is_set() below is P1.
  state_.compare_exchange_strong(seen, awaited, std::memory_order_relaxed);
  while (!is_set()) {  // ends by set(), or by the deadline
    if (!sleep_while_equal(state_, awaited, deadline)) return is_set();
  }
  return true;
}

}  // namespace genserver
