// SPDX-License-Identifier: BSL-1.0
// Sleeping in the kernel until another thread says so.
#pragma once

#include <genserver/base/deadline.hpp>

#include <atomic>
#include <cstdint>

#if defined(__linux__)
#include <cerrno>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <genserver/sync/parking_lot.hpp>
#endif

namespace genserver {

#if defined(__linux__)

/// Sleeps while `word` holds `expected`.
///
/// Blocks:  until wake_all() on the same word, the deadline, or for no reason at all: the caller
///          looks again. Returns false only when the deadline has passed.
/// Ordering: none; the caller reads `word` itself.
inline bool sleep_while_equal(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                              Deadline deadline) noexcept {
  timespec until{};
  timespec* limit = nullptr;
  if (!deadline.is_never()) {
    // steady_clock is CLOCK_MONOTONIC, which FUTEX_WAIT_BITSET takes as an absolute time.
    const auto since_boot = deadline.when().time_since_epoch();
    if (since_boot.count() <= 0) return false;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    until.tv_sec = static_cast<std::time_t>(seconds.count());
    until.tv_nsec = static_cast<long>(std::chrono::nanoseconds{since_boot - seconds}.count());
    limit = &until;
  }
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                                limit, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != ETIMEDOUT;
}

/// Wakes every thread that sleeps on `word`. Only the address is used: it may be gone already.
inline void wake_all(const std::atomic<std::uint32_t>* word) noexcept {
  ::syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 0x7fffffff, nullptr, nullptr, 0);
}

#else

inline bool sleep_while_equal(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                              Deadline deadline) {
  return ParkingLot::instance().sleep_while_equal(word, expected, deadline);
}

inline void wake_all(const std::atomic<std::uint32_t>* word) {
  ParkingLot::instance().wake_all(word);
}

#endif

}  // namespace genserver
