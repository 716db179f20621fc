// SPDX-License-Identifier: BSL-1.0
// How many restarts have been made lately.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>

namespace genserver::inline v0 {

/// Counts restarts within the last while.
///
/// Threads: one. Erlang: add_restart of supervisor.erl.
class RestartWindow {
 public:
  using Clock = std::chrono::steady_clock;

  RestartWindow(std::size_t max_restarts, std::chrono::nanoseconds within) noexcept
      : max_restarts_{max_restarts}, within_{within} {}

  /// Counts one more. Returns false if these are too many.
  bool add(Clock::time_point now) {
    while (!restarts_.empty() && now - restarts_.front() > within_) restarts_.pop_front();
    restarts_.push_back(now);
    return restarts_.size() <= max_restarts_;
  }

 private:
  std::size_t max_restarts_;
  std::chrono::nanoseconds within_;
  std::deque<Clock::time_point> restarts_{};  // the oldest first
};

}  // namespace genserver::v0
