// SPDX-License-Identifier: BSL-1.0
// Lengths and points of time, as the waiting functions take them.
#pragma once

#include <genserver/base/call_site.hpp>
#include <genserver/base/error.hpp>

#include <fmt/core.h>

#include <chrono>

namespace genserver::inline v0 {

/// A length of time that is not negative; made from any std::chrono::duration.
///
/// What is longer than 100 years, as hours::max(), becomes 100 years, so that adding it to a
/// point of time cannot overflow.
class Timespan {
 public:
  /// Throws: InvalidArgument if `length` is negative or no number; it names the call site.
  template <class Rep, class Period>
  Timespan(std::chrono::duration<Rep, Period> length, CallSite site = CallSite::here());

  /// Returns it as nanoseconds.
  [[nodiscard]] std::chrono::nanoseconds length() const noexcept { return length_; }

 private:
  static constexpr std::chrono::nanoseconds longest = std::chrono::hours{24 * 365 * 100};

  std::chrono::nanoseconds length_;
};

/// A point of std::chrono::steady_clock until which something may wait, or never.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  /// Made from a point of steady_clock; one in the past means: look, but do not wait.
  template <class Duration>
  Deadline(std::chrono::time_point<Clock, Duration> when);

  /// What waits until then waits without limit.
  static Deadline never() noexcept { return Deadline{Clock::time_point::max()}; }
  /// Returns the point that is so far from now.
  static Deadline after(Timespan span) { return Deadline{Clock::now() + span.length()}; }

  [[nodiscard]] bool is_never() const noexcept { return when_ == Clock::time_point::max(); }
  /// Returns whether its time is up. Cost: reads the clock, unless it is never().
  [[nodiscard]] bool has_passed() const { return !is_never() && Clock::now() >= when_; }
  /// Returns the point of time; of never(), the last one that the clock has.
  [[nodiscard]] Clock::time_point when() const noexcept { return when_; }

  /// Returns the earlier of the two.
  [[nodiscard]] Deadline or_earlier(Deadline other) const noexcept {
    return when_ < other.when_ ? *this : other;
  }

 private:
  Clock::time_point when_;
};

template <class Rep, class Period>
Timespan::Timespan(std::chrono::duration<Rep, Period> length, CallSite site) : length_{longest} {
  using Seconds = std::chrono::duration<double>;
  const double seconds = std::chrono::duration_cast<Seconds>(length).count();
  if (!(seconds >= 0)) {  // also catches not-a-number
    throw InvalidArgument{fmt::format(
        "a duration of {} s was given at {}; it cannot be negative", seconds, to_string(site))};
  }
  if (seconds < std::chrono::duration_cast<Seconds>(longest).count()) {
    length_ = std::chrono::duration_cast<std::chrono::nanoseconds>(length);
  }
}

template <class Duration>
Deadline::Deadline(std::chrono::time_point<Clock, Duration> when)
    : when_{Clock::time_point::max()} {
  using Hours = std::chrono::duration<double, std::ratio<3600>>;
  const double hours = std::chrono::duration_cast<Hours>(when.time_since_epoch()).count();
  const double limit = std::chrono::duration_cast<Hours>(Clock::duration::max()).count();
  if (hours <= -limit) {
    when_ = Clock::time_point::min();
  } else if (hours < limit) {
    when_ = std::chrono::time_point_cast<Clock::duration>(when);
  }
}

}  // namespace genserver::v0
