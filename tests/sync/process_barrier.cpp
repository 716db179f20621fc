// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/platform/process_barrier.hpp>

#include <support/catch.hpp>

#include <atomic>
#include <thread>

using genserver::ProcessBarrier;

TEST_CASE("of two that write and then read each other's word, one sees the other",
          "[sync][process_barrier][.stress]") {
  if (!ProcessBarrier::is_there()) return;
  std::atomic<int> frequent{0}, rare{0}, round{0};
  std::atomic<int> seen_by_frequent{0};
  int missed = 0;
  std::thread other{[&] {
    for (int i = 1; i <= 5'000; ++i) {
      while (round.load(std::memory_order_acquire) != i) {
      }
      frequent.store(i, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
      const int seen = rare.load(std::memory_order_relaxed);
      seen_by_frequent.store(seen == i ? i : -i, std::memory_order_release);
    }
  }};

  for (int i = 1; i <= 5'000; ++i) {
    round.store(i, std::memory_order_release);
    for (int wait = 0; wait < i % 256; ++wait) rare.load(std::memory_order_relaxed);  // to meet
    rare.store(i, std::memory_order_relaxed);
    REQUIRE(ProcessBarrier::impose());
    const bool sees = frequent.load(std::memory_order_relaxed) == i;
    int seen = 0;
    while ((seen = seen_by_frequent.load(std::memory_order_acquire)) != i && seen != -i) {
    }
    if (!sees && seen != i) ++missed;
  }
  other.join();

  CHECK(missed == 0);
}
