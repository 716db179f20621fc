// SPDX-License-Identifier: BSL-1.0
// Decides whether waiting for another thread begins with a spin.
#pragma once

#include <genserver/sync/platform/cpu.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace genserver::inline v0 {

/// Learns whether spinning pays where waits of one sort are made, and spins while it does.
///
/// A spin lasts at most about 50 us, the time in which a sleeping thread would have been woken:
/// so it costs at most twice what the better choice would have cost (Karlin et al., "Empirical
/// Studies of Competitive Spinning", 1991). The budget is all or nothing, since with a shrinking
/// one a single disturbance would put both sides to sleep for good. After about 60 % misses it
/// stops, and looks again for eight waits in a row every 64 to 1024 waits: in a row, since the
/// other side has to be awake at the same time to show the gain. With one processor it never spins.
///
/// Threads: any. Updates that race are lost, which only delays what it learns.
class SpinGovernor {
 public:
  struct Never {
    bool operator()() const noexcept { return false; }
  };

  /// Spins until `done()` is true or the budget is used up. Returns whether it was true.
  ///
  /// Blocks: never sleeps; runs for about 50 us at most, and as long as `is_in_vain()` takes.
  ///
  /// `between` is the number of pauses between two looks. Who looks seldom leaves the line that he
  /// looks at, and the work, to who has it: later for himself, but cheaper for all.
  ///
  /// `is_in_vain()` ends the spin if it returns true, which counts neither as a hit nor as a miss.
  /// It is asked between two looks, after about half a microsecond and then every four.
  template <class Done, class InVain = Never>
  bool spin_until(Done&& done, unsigned between = 1, InVain&& is_in_vain = {});

  /// Returns whether the next wait would spin, and counts it as one. Exposed for tests, with
  /// record(), which tells how the spin ended.
  bool begins_with_spin() noexcept;
  void record(bool has_paid) noexcept;

 private:
  static constexpr std::uint32_t best = 256;
  static constexpr std::uint32_t enough = 64;  // The score from which on it spins.
  static constexpr std::uint32_t burst = 8;
  static constexpr std::uint32_t shortest_rest = 64;
  static constexpr std::uint32_t longest_rest = 1024;

  /// Returns how many pauses last about 50 us; 0 with a single processor. Measured once.
  [[gnu::visibility("default")]] static unsigned budget();

  // All relaxed: each is a number of its own that publishes nothing.
  std::atomic<std::uint32_t> score_{best};
  std::atomic<std::uint32_t> rested_{0};  // Waits without a spin since the last burst.
  std::atomic<std::uint32_t> rest_{shortest_rest};
};

template <class Done, class InVain>
bool SpinGovernor::spin_until(Done&& done, unsigned between, InVain&& is_in_vain) {
  if (done()) return true;
  const unsigned pauses = budget();
  if (pauses == 0 || !begins_with_spin()) return false;
  unsigned next_question = pauses / 100;
  for (unsigned i = 0; i < pauses; i += between) {
    for (unsigned n = 0; n < between; ++n) pause_cpu();
    if (done()) {
      record(true);
      return true;
    }
    if (i < next_question) continue;
    if (is_in_vain()) return done();
    next_question += pauses / 13 + 1;
  }
  record(false);
  return false;
}

inline bool SpinGovernor::begins_with_spin() noexcept {
  if (score_.load(std::memory_order_relaxed) >= enough) return true;
  const std::uint32_t rested = rested_.load(std::memory_order_relaxed) + 1;
  const std::uint32_t rest = rest_.load(std::memory_order_relaxed);
  rested_.store(rested, std::memory_order_relaxed);
  if (rested <= rest) return false;
  if (rested <= rest + burst) return true;
  rested_.store(0, std::memory_order_relaxed);
  rest_.store(rest < longest_rest ? rest * 2 : longest_rest, std::memory_order_relaxed);
  return false;
}

inline void SpinGovernor::record(bool has_paid) noexcept {
  const std::uint32_t score = score_.load(std::memory_order_relaxed);
  const std::uint32_t changed = has_paid ? score + (best - score) / 8 : score - score / 4;
  score_.store(changed, std::memory_order_relaxed);
  if (score < enough && changed >= enough) {
    rested_.store(0, std::memory_order_relaxed);
    rest_.store(shortest_rest, std::memory_order_relaxed);
  }
}

inline unsigned SpinGovernor::budget() {
  static const unsigned pauses = [] {
    if (usable_cpus() < 2) return 0U;
    using Clock = std::chrono::steady_clock;
    constexpr unsigned probes = 64;
    auto shortest = Clock::duration::max();
    for (int round = 0; round < 5; ++round) {  // the shortest: the others were interrupted
      const auto begin = Clock::now();
      for (unsigned i = 0; i < probes; ++i) pause_cpu();
      const auto length = Clock::now() - begin;
      if (length < shortest) shortest = length;
    }
    const double nanoseconds = std::chrono::duration<double, std::nano>(shortest).count() / probes;
    return static_cast<unsigned>(50'000.0 / (nanoseconds < 1.0 ? 1.0 : nanoseconds));
  }();
  return pauses;
}

}  // namespace genserver::v0
