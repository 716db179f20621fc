// SPDX-License-Identifier: BSL-1.0
// How long a supervisor may take to stop, and what it had to kill.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/core/any_ref.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// What a supervisor has in common with those who stop it: the time at which it and all below it
/// are to have ended, whatever the specifications say, and whom they had to kill for that.
///
/// A supervisor that is a child knows the limit of the one above it. So what is set for a tree
/// holds for all of it at once, also for what is being stopped already. Its own grace is half of
/// that above, so that it is done before the one above kills it.
///
/// Threads: any.
class StopLimit {
 public:
  using Clock = Deadline::Clock;

  /// What has not ended at `limit` is killed. A supervisor gets `grace` more, in which it kills its
  /// children. A server that is asked to end so late, because others have used up the time, gets
  /// an eighth of that at least, so that it can end in order.
  void set(Deadline limit, std::chrono::nanoseconds grace = std::chrono::seconds{1}) {
    const std::scoped_lock lock{mutex_};
    time_ = {limit, grace};
  }
  /// Returns the time that was set, for this supervisor or for one above it, whichever is earlier.
  [[nodiscard]] Deadline get() const { return time().limit; }

  /// Returns when a child is killed that was asked to end at `asked`, and is no supervisor.
  [[nodiscard]] Deadline of_child(Clock::time_point asked) const;
  /// Returns when a child is killed that is a supervisor.
  [[nodiscard]] Deadline of_supervisor() const;

  /// For the supervisor above, before it relies on it.
  void set_above(std::shared_ptr<StopLimit> above) {
    const std::scoped_lock lock{mutex_};
    above_.swap(above);
  }

  /// Notes that `server` had to be killed, if there is a limit: for the topmost supervisor.
  void add_killed(const AnyRef& server);
  /// Returns whom this supervisor and those below it had to kill to keep within the limit; also
  /// those with Shutdown::brutal_kill() whose handlers did not return.
  [[nodiscard]] std::vector<AnyRef> killed() const {
    const std::scoped_lock lock{mutex_};
    return killed_;
  }

  /// Notes that `server` waits for its supervisor, and ends after it: for the topmost one.
  void add_left(const AnyRef& server);
  /// Returns those servers, some of which may have ended since.
  [[nodiscard]] std::vector<AnyRef> left() const {
    const std::scoped_lock lock{mutex_};
    return left_;
  }

  /// Notes that there were too many restarts.
  void give_up() {
    const std::scoped_lock lock{mutex_};
    has_given_up_ = true;
  }
  [[nodiscard]] bool has_given_up() const {
    const std::scoped_lock lock{mutex_};
    return has_given_up_;
  }

 private:
  struct Time {
    Deadline limit = Deadline::never();
    std::chrono::nanoseconds grace{};
  };

  [[nodiscard]] std::shared_ptr<StopLimit> above() const {
    const std::scoped_lock lock{mutex_};
    return above_;
  }
  [[nodiscard]] Time time() const;

  mutable std::mutex mutex_{};  // never held while that of the one above is taken
  // guarded by mutex_:
  Time time_{};
  std::shared_ptr<StopLimit> above_{};  // null: it is topmost
  std::vector<AnyRef> killed_{};
  std::vector<AnyRef> left_{};
  bool has_given_up_ = false;
};

inline StopLimit::Time StopLimit::time() const {
  Time own;
  std::shared_ptr<StopLimit> above;
  {
    const std::scoped_lock lock{mutex_};
    own = time_;
    above = above_;
  }
  if (above == nullptr) return own;
  Time outer = above->time();
  outer.grace /= 2;
  return outer.limit.when() < own.limit.when() ? outer : own;
}

inline Deadline StopLimit::of_child(Clock::time_point asked) const {
  const auto [limit, grace] = time();
  if (limit.is_never()) return limit;
  return std::max(limit.when(), std::min(asked + grace / 8, limit.when() + grace));
}

inline Deadline StopLimit::of_supervisor() const {
  const auto [limit, grace] = time();
  return limit.is_never() ? limit : Deadline{limit.when() + grace};
}

inline void StopLimit::add_left(const AnyRef& server) {
  if (const auto above = this->above()) return above->add_left(server);
  const std::scoped_lock lock{mutex_};
  left_.push_back(server);
}

inline void StopLimit::add_killed(const AnyRef& server) {
  if (const auto above = this->above()) return above->add_killed(server);
  const std::scoped_lock lock{mutex_};
  if (!time_.limit.is_never()) killed_.push_back(server);
}

}  // namespace genserver::v0
