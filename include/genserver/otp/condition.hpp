// SPDX-License-Identifier: BSL-1.0
// A condition variable for threads that may be servers.
#pragma once

#include <genserver/core/handler_wait.hpp>
#include <genserver/sync/platform/stop_token.hpp>

#include <mutex>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Lets threads wait until something under a mutex is so. Unlike with std::condition_variable_any,
/// a wait also ends with an exit signal for the server whose handler waits.
///
/// Threads: any. One mutex belongs to it, and is held in every call.
class Condition {
 public:
  /// Wakes all who wait, to look again.
  void notify_all() noexcept {
    for (OneShot* const sleeper : sleepers_) sleeper->set();
    sleepers_.clear();
  }

  /// Waits until `is_so()`, which is asked under the mutex.
  ///
  /// Blocks: until then, by notify_all(); but no longer than until the deadline, which is `late`,
  ///         or until `stop` is requested or an exit signal comes, which is `interrupted`;
  ///         of the latter check_exit() tells.
  template <class Predicate>
  Waited wait(std::unique_lock<std::mutex>& lock, Deadline deadline, const StopToken& stop,
              Predicate&& is_so);

 private:
  /// Lets the mutex go and waits, once; returns what has ended that.
  Waited sleep(std::unique_lock<std::mutex>& lock, Deadline deadline, const StopToken& stop);

  std::vector<OneShot*> sleepers_{};  // guarded by the mutex; each is set once, and then gone
};

inline Waited Condition::sleep(std::unique_lock<std::mutex>& lock, Deadline deadline,
                               const StopToken& stop) {
  if (stop.stop_requested()) return Waited::interrupted;
  OneShot awake;
  const StopCallback interrupt{stop, [&awake] { awake.interrupt(); }};  // takes no mutex
  sleepers_.push_back(&awake);
  lock.unlock();
  const Waited waited = sleep_interruptibly(awake, deadline);
  lock.lock();
  std::erase(sleepers_, &awake);
  return waited;
}

template <class Predicate>
Waited Condition::wait(std::unique_lock<std::mutex>& lock, Deadline deadline,
                       const StopToken& stop, Predicate&& is_so) {
  while (!is_so()) {
    const Waited waited = sleep(lock, deadline, stop);
    if (is_so()) break;
    if (waited == Waited::interrupted) return waited;
    if (stop.stop_requested()) return Waited::interrupted;
    if (waited == Waited::late && deadline.has_passed()) return Waited::late;
  }
  return Waited::done;
}

}  // namespace genserver::v0
