// SPDX-License-Identifier: BSL-1.0
// Where the one who starts services waits for them.
#pragma once

#include <genserver/core/any_ref.hpp>
#include <genserver/core/caller_edge.hpp>
#include <genserver/otp/condition.hpp>
#include <genserver/otp/service_error.hpp>

#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Opens once all of several services are ready, or one has failed.
///
/// A server that waits here is an edge of the wait graph to one of those that are still starting.
///
/// Threads: any; one waits.
class StartGate {
 public:
  /// Whether a failure opens it while others are still starting.
  enum class Opens { at_failure, when_all_settled };

  explicit StartGate(Opens opens) noexcept : opens_{opens} {}

  /// It waits for this one, too. Before wait().
  void add(const AnyRef& server) {
    const std::scoped_lock lock{mutex_};
    pending_.push_back(server);
    failures_.reserve(pending_.size());  // so that settle() needs no memory
  }
  /// The server is ready, or, with a failure, never will be. The first one for a server counts.
  void settle(const AnyRef& server, std::optional<ServiceFailure> failure) noexcept;

  /// Blocks: until it opens, which is `done`; or until the deadline or stop, or an exit signal for
  ///         who waits.
  /// Throws: Deadlock.
  Waited wait(Deadline deadline, const StopToken& stop, const CallSite& site);

  /// Returns what has failed, once. What comes later is left out.
  [[nodiscard]] std::vector<ServiceFailure> close();
  /// Returns whether this one is neither ready nor has failed.
  [[nodiscard]] bool is_pending(const AnyRef& server);

 private:
  [[nodiscard]] bool is_open() const noexcept {
    return pending_.empty() || (opens_ == Opens::at_failure && !failures_.empty());
  }

  const Opens opens_;
  std::mutex mutex_{};
  // guarded by mutex_:
  std::vector<AnyRef> pending_{};
  std::vector<ServiceFailure> failures_{};
  bool is_closed_ = false;
  WaitToken waiter_{};     // its edge to the first of pending_
  Condition changed_{};    // pending_ or failures_
};

inline void StartGate::settle(const AnyRef& server,
                              std::optional<ServiceFailure> failure) noexcept {
  const std::scoped_lock lock{mutex_};
  const bool is_target = !pending_.empty() && pending_.front() == server;
  if (std::erase(pending_, server) == 0) return;
  if (failure && !is_closed_) failures_.push_back(std::move(*failure));
  if (!is_target && !is_open()) return;  // who waits still waits for the same one
  waiter_.end();                         // before it is woken, as every edge
  waiter_ = {};
  changed_.notify_all();
}

inline Waited StartGate::wait(Deadline deadline, const StopToken& stop, const CallSite& site) {
  std::unique_lock lock{mutex_};
  while (!is_open()) {
    const AnyRef target = pending_.front();
    CallerEdge edge{target.callee(), WaitKind::start, site};
    waiter_ = edge.token();
    lock.unlock();
    edge.check();
    edge.set_since(Deadline::Clock::now());
    lock.lock();
    const Waited waited = changed_.wait(lock, deadline, stop, [&] {
      return is_open() || pending_.front() != target;
    });
    waiter_ = {};
    if (waited != Waited::done) return waited;
  }
  return Waited::done;
}

inline std::vector<ServiceFailure> StartGate::close() {
  const std::scoped_lock lock{mutex_};
  is_closed_ = true;
  return std::exchange(failures_, {});  // who has them alone holds on to the exceptions
}

inline bool StartGate::is_pending(const AnyRef& server) {
  const std::scoped_lock lock{mutex_};
  for (const AnyRef& each : pending_) {
    if (each == server) return true;
  }
  return false;
}

}  // namespace genserver::v0
