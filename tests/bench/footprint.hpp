// SPDX-License-Identifier: BSL-1.0
// What this process uses: allocations, memory, time of the processors.
#pragma once

#include <atomic>
#include <cstdint>

namespace bench {

/// Counts what all threads allocate by `new` while it lives. There is one at a time.
class Allocations {
 public:
  Allocations() {
    // Relaxed: what is counted is what this thread causes, and that is ordered after this.
    count_.store(0, std::memory_order_relaxed);
    is_counting_.store(true, std::memory_order_relaxed);
  }
  ~Allocations() { is_counting_.store(false, std::memory_order_relaxed); }  // as above
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;

  [[nodiscard]] double count() const {
    return static_cast<double>(count_.load(std::memory_order_relaxed));  // as above
  }

  /// For `new`. Costs next to nothing while nobody counts.
  static void note() noexcept {
    if (!is_counting_.load(std::memory_order_relaxed)) return;  // as above
    count_.fetch_add(1, std::memory_order_relaxed);             // as above
  }

 private:
  inline static std::atomic<bool> is_counting_{false};
  inline static std::atomic<std::uint64_t> count_{0};
};

/// Returns the bytes of this process that are in memory.
double resident_bytes();
/// Returns the bytes that the kernel uses for threads, page tables and the like, of all processes.
double kernel_bytes();
/// Returns the microseconds that this process has had of the processors.
double processor_time();

}  // namespace bench
