// SPDX-License-Identifier: BSL-1.0
// Decides whether who waits lets others have his processor.
#pragma once

#include <genserver/sync/platform/cpu.hpp>

#include <atomic>
#include <chrono>

namespace genserver::inline v0 {

/// Learns whether yielding is soon over where waits of one sort are made.
///
/// A system likes to run a thread where it was woken. So who spins may keep the processor from the
/// one that he waits for, and yielding it is what both need. But on a busy machine it may be a
/// stranger who gets it, for some milliseconds: after that nobody yields for a second.
///
/// Threads: any.
class YieldGovernor {
 public:
  /// Those of the whole process: one for servers that have nothing to do, one for who calls them.
  [[gnu::visibility("default")]] static YieldGovernor& of_servers() noexcept {
    static constinit YieldGovernor governor;
    return governor;
  }
  [[gnu::visibility("default")]] static YieldGovernor& of_callers() noexcept {
    static constinit YieldGovernor governor;
    return governor;
  }

  /// Returns whether no stranger has come lately.
  [[nodiscard]] bool may_yield() const noexcept {
    return Clock::now().time_since_epoch().count() >= rests_until_.load(std::memory_order_relaxed);
  }

  /// Lets another thread have the processor. Returns whether it was back within half a millisecond.
  ///
  /// Blocks: as long as the system likes; not at all if nobody else wants the processor.
  static bool yield() noexcept {
    const auto gone = Clock::now();
    yield_cpu();
    return Clock::now() - gone < std::chrono::microseconds{500};
  }

  /// It was a stranger.
  void rest() noexcept {
    const auto end = Clock::now() + std::chrono::seconds{1};
    rests_until_.store(end.time_since_epoch().count(), std::memory_order_relaxed);
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::atomic<Clock::rep> rests_until_{0};  // relaxed: a time that publishes nothing
};

}  // namespace genserver::v0
