// SPDX-License-Identifier: BSL-1.0
// A condition variable for threads that may be servers.
#pragma once

#include <genserver/core/callee.hpp>
#include <genserver/sync/platform/stop_token.hpp>

#include <mutex>
#include <utility>
#include <vector>

namespace genserver {

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
  ///         or until `stop` is requested or an exit signal comes, which is `interrupted`.
  template <class Predicate>
  Waited wait(std::unique_lock<std::mutex>& lock, Deadline deadline, const StopToken& stop,
              Predicate&& is_so);

  /// Throws: Exit, if that is what has interrupted a wait of this thread.
  static void check_exit() {
    if (const Running* const running = Running::now()) running->server.interrupts().check();
  }

 private:
  static Waited sleep(OneShot& awake, Deadline deadline) noexcept;

  std::vector<OneShot*> sleepers_{};  // guarded by the mutex; each is set once, and then gone
};

inline Waited Condition::sleep(OneShot& awake, Deadline deadline) noexcept {
  if (const Running* const running = Running::now()) {
    running->server.record().meter().measure_next();
    return running->server.interrupts().sleep(awake, deadline);
  }
  return awake.sleep(deadline) ? Waited::done : Waited::late;
}

template <class Predicate>
Waited Condition::wait(std::unique_lock<std::mutex>& lock, Deadline deadline,
                       const StopToken& stop, Predicate&& is_so) {
  while (!is_so()) {
    if (stop.stop_requested()) return Waited::interrupted;
    OneShot awake;
    const StopCallback interrupt{stop, [&awake] { awake.interrupt(); }};  // takes no mutex
    sleepers_.push_back(&awake);
    lock.unlock();
    const Waited waited = sleep(awake, deadline);
    lock.lock();
    std::erase(sleepers_, &awake);
    if (is_so()) break;
    if (waited == Waited::interrupted) return waited;
    if (stop.stop_requested()) return Waited::interrupted;
    if (waited == Waited::late && deadline.has_passed()) return Waited::late;
  }
  return Waited::done;
}

}  // namespace genserver
