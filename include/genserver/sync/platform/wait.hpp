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
#elif defined(__MINGW32__)
#include <genserver/sync/parking_lot.hpp>
#include <genserver/sync/platform/windows_api.hpp>

#include <algorithm>
#else
#include <genserver/sync/parking_lot.hpp>
#endif

namespace genserver::inline v0 {

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

#elif defined(__MINGW32__)

namespace detail {

// The system's own waiting on an address, there since Windows 8. Looked up, since its import
// library is not among those that a linker takes by itself.
struct AddressWait {
  using Wait = int __stdcall(volatile void* word, void* expected, std::size_t size,
                             platform::windows::Word milliseconds);
  using Wake = void __stdcall(void* word);

  static const AddressWait& instance() noexcept {
    using platform::windows::find_function;
    static const AddressWait functions{find_function<Wait>("WaitOnAddress"),
                                       find_function<Wake>("WakeByAddressAll")};
    return functions;
  }
  [[nodiscard]] bool is_there() const noexcept { return wait != nullptr && wake != nullptr; }

  Wait* wait;
  Wake* wake;
};

// Rounded up: to wake too early would be to wake twice.
inline platform::windows::Word milliseconds_until(Deadline deadline) noexcept {
  if (deadline.is_never()) return platform::windows::for_ever;
  if (deadline.has_passed()) return 0;
  using Milliseconds = std::chrono::milliseconds;
  const auto left = std::chrono::ceil<Milliseconds>(deadline.when() - Deadline::Clock::now());
  constexpr Milliseconds::rep most = 0x7fffffff;  // for longer: look again then
  return static_cast<platform::windows::Word>(std::clamp<Milliseconds::rep>(left.count(), 0, most));
}

}  // namespace detail

inline bool sleep_while_equal(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                              Deadline deadline) noexcept {
  const auto& address = detail::AddressWait::instance();
  if (!address.is_there()) {
    return ParkingLot::instance().sleep_while_equal(word, expected, deadline);
  }
  // Only read there; the function takes what is not const.
  auto* const place = const_cast<std::atomic<std::uint32_t>*>(&word);
  const bool is_changed =
      address.wait(place, &expected, sizeof expected, detail::milliseconds_until(deadline)) != 0;
  return is_changed || !deadline.has_passed();
}

inline void wake_all(const std::atomic<std::uint32_t>* word) noexcept {
  const auto& address = detail::AddressWait::instance();
  if (!address.is_there()) return ParkingLot::instance().wake_all(word);
  address.wake(const_cast<std::atomic<std::uint32_t>*>(word));
}

#else

// As for macOS: its public function for this begins with version 14.4, an older one is private.
inline bool sleep_while_equal(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                              Deadline deadline) {
  return ParkingLot::instance().sleep_while_equal(word, expected, deadline);
}

inline void wake_all(const std::atomic<std::uint32_t>* word) {
  ParkingLot::instance().wake_all(word);
}

#endif

}  // namespace genserver::v0
