// SPDX-License-Identifier: BSL-1.0
// An event that happens once, and that threads wait for.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/sync/platform/wait.hpp>
#include <genserver/sync/spin_governor.hpp>

#include <atomic>
#include <cstdint>

namespace genserver::inline v0 {

/// Tells waiting threads, once, that something has been done.
///
///   pending ──▶ done
///      └─▶ awaited ─▲        awaited: somebody sleeps, so set() has to wake
///     either ──▶ interrupted ──▶ pending        who waits has been sent away
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

  /// Sleeps until it is done. Returns whether it is.
  ///
  /// Blocks: until set(), the deadline, or interrupt().
  bool sleep(Deadline deadline) noexcept;

  /// Ends the running sleep(), or the next one, without setting it. For an event with one waiter,
  /// who sees to it that the event is not destroyed meanwhile.
  void interrupt() noexcept;
  /// Lets the next sleep() sleep again.
  void forget_interrupt() noexcept {
    std::uint32_t seen = interrupted;
    state_.compare_exchange_strong(seen, pending, std::memory_order_relaxed);  // publishes nothing
  }

 private:
  enum : std::uint32_t { pending, awaited, done, interrupted };

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
  // Relaxed: whether to sleep on. Ends by set(), by interrupt(), or by the deadline.
  while (state_.load(std::memory_order_relaxed) == awaited) {
    if (!sleep_while_equal(state_, awaited, deadline)) break;
  }
  return is_set();
}

inline void OneShot::interrupt() noexcept {
  std::uint32_t seen = state_.load(std::memory_order_relaxed);  // a guess for the exchange
  do {
    if (seen == done || seen == interrupted) return;
    // Relaxed: nothing is published.
  } while (!state_.compare_exchange_weak(seen, interrupted, std::memory_order_relaxed));
  if (seen == awaited) wake_all(&state_);
}

}  // namespace genserver::v0
