// SPDX-License-Identifier: BSL-1.0
// The server that a supervisor's child has at the moment.
#pragma once

#include <genserver/core/gen_server.hpp>
#include <genserver/core/handler_wait.hpp>

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace genserver::inline v0 {

/// What a supervisor's child is doing.
enum class ChildStatus {
  running,     ///< It has a server.
  restarting,  ///< It has none, but will be started again.
  stopped,     ///< It has none; only its specification is there.
  removed      ///< It is no child any more.
};

/// Returns the status as a word.
constexpr const char* to_string(ChildStatus status) noexcept {
  constexpr const char* words[] = {"running", "restarting", "stopped", "removed"};
  return words[static_cast<std::size_t>(status)];
}

/// The place where a supervisor puts the server of one child, and where all who hold the child
/// find it. It outlives both.
///
/// Threads: any; only the supervisor changes it.
class ChildSlot {
 public:
  ChildSlot(std::string id, AnyRef supervisor)
      : id_{std::move(id)}, supervisor_{std::move(supervisor)} {}

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] const AnyRef& supervisor() const noexcept { return supervisor_; }

  /// There is a server. `owner` is what start() returned.
  void set_running(std::shared_ptr<void> owner, const AnyRef& server);
  /// There is none, since the last one ended for `reason`. Lets the owner go.
  void set_gone(ChildStatus status, const ExitReason& reason) noexcept;

  [[nodiscard]] ChildStatus status() const;
  /// Returns whether there is a server that takes messages; status() learns of an end later. Who
  /// got ServerGone from the last server does not see that one again.
  [[nodiscard]] bool is_running() const {
    const std::scoped_lock lock{mutex_};
    return takes_messages();
  }
  /// Returns the owner of the server, or null while there is none.
  [[nodiscard]] std::shared_ptr<void> owner() const;
  /// Returns the server, or an empty reference while there is none.
  [[nodiscard]] AnyRef server() const;

  /// Returns the owner of the server.
  ///
  /// Throws: ServerGone while there is none; it says what the child is doing and how its last
  ///         server ended.
  [[nodiscard]] std::shared_ptr<void> running_owner() const;

  /// Waits for a server. Returns false at the deadline, and if there will never be one again: the
  /// child was removed, or the supervisor has ended, or was killed.
  ///
  /// Throws: Deadlock; Exit.
  bool wait_until_running(Deadline deadline, const CallSite& site) const;

 private:
  /// One wait, which the supervisor's end ends too: if it was killed, it may never come back here.
  struct Waiter final : ExitWatcher {
    void wake() noexcept {
      edge.end();  // before the news, as every edge
      // Relaxed: only that done is set once; it publishes the rest.
      if (!is_woken.exchange(true, std::memory_order_relaxed)) done.set();
    }
    void on_exit(const ExitedServer&) noexcept override { wake(); }

    OneShot done{};
    WaitToken edge{};
    std::atomic<bool> is_woken{false};
  };
  using Waiters = std::list<std::shared_ptr<Waiter>>;

  static void wake(const Waiters& waiters) noexcept {
    for (const auto& waiter : waiters) waiter->wake();
  }
  /// With mutex_ held.
  [[nodiscard]] bool takes_messages() const {
    return status_ == ChildStatus::running && !server_.callee().is_closed();
  }
  /// Returns whom to wake, if there is something new. With mutex_ held.
  [[nodiscard]] Waiters end_waits() const noexcept;
  bool wait_for_news(Deadline deadline, const CallSite& site) const;

  const std::string id_;
  const AnyRef supervisor_;
  mutable std::mutex mutex_{};
  // guarded by mutex_:
  ChildStatus status_ = ChildStatus::stopped;
  std::shared_ptr<void> owner_{};
  AnyRef server_{};
  ExitReason reason_ = ExitReason::no_server();  // of the last server
  mutable Waiters waiters_{};                    // while there is no server
};

inline ChildSlot::Waiters ChildSlot::end_waits() const noexcept {
  Waiters woken;
  if (status_ == ChildStatus::running || status_ == ChildStatus::removed) woken.swap(waiters_);
  return woken;
}

inline void ChildSlot::set_running(std::shared_ptr<void> owner, const AnyRef& server) {
  Waiters woken;
  {
    const std::scoped_lock lock{mutex_};
    status_ = ChildStatus::running;
    owner_ = std::move(owner);
    server_ = server;
    woken = end_waits();
  }
  wake(woken);
}

inline void ChildSlot::set_gone(ChildStatus status, const ExitReason& reason) noexcept {
  Waiters woken;
  std::shared_ptr<void> owner;  // whose destructor is the user's: outlives the lock
  AnyRef server;
  {
    const std::scoped_lock lock{mutex_};
    status_ = status;
    owner.swap(owner_);
    server = std::exchange(server_, {});
    reason_ = reason;
    woken = end_waits();
  }
  wake(woken);
}

inline ChildStatus ChildSlot::status() const {
  const std::scoped_lock lock{mutex_};
  return status_;
}

inline std::shared_ptr<void> ChildSlot::owner() const {
  const std::scoped_lock lock{mutex_};
  return owner_;
}

inline AnyRef ChildSlot::server() const {
  const std::scoped_lock lock{mutex_};
  return server_;
}

inline std::shared_ptr<void> ChildSlot::running_owner() const {
  ChildStatus status;
  ExitReason reason = ExitReason::normal();
  {
    const std::scoped_lock lock{mutex_};
    if (owner_ != nullptr) return owner_;
    status = status_;
    reason = reason_;
  }
  std::string how;
  if (reason.kind() != ExitReason::Kind::no_server) how = "; it ended: " + reason.what();
  throw ServerGone{"child \"" + id_ + "\" of " + supervisor_.name() + ":" +
                       std::to_string(supervisor_.pid().value()) + " has no server now, it is " +
                       to_string(status) + how,
                   reason};
}

inline bool ChildSlot::wait_until_running(Deadline deadline, const CallSite& site) const {
  supervisor_.callee().check_not_forked(site);
  while (!is_running()) {
    if (status() == ChildStatus::removed || !supervisor_.is_alive()) return false;
    if (!wait_for_news(deadline, site)) return false;
  }
  return true;
}

/// Waits until the child has another server, is removed, or its supervisor has ended. Returns false
/// at the deadline.
inline bool ChildSlot::wait_for_news(Deadline deadline, const CallSite& site) const {
  Callee& supervisor = supervisor_.callee();
  ExitWatchers& end_of_supervisor = supervisor_.shared_core()->end().watchers();
  const auto waiter = std::make_shared<Waiter>();
  CallerEdge edge;
  {
    const std::scoped_lock lock{mutex_};
    if (takes_messages() || status_ == ChildStatus::removed) return true;
    edge.begin(supervisor, WaitKind::start, site);
    waiter->edge = edge.token();
    waiters_.push_back(waiter);
  }
  const struct Leave {
    const ChildSlot& slot;
    ExitWatchers& end_of_supervisor;
    const std::shared_ptr<Waiter>& waiter;
    ~Leave() {
      end_of_supervisor.remove(*waiter);
      const std::scoped_lock lock{slot.mutex_};
      slot.waiters_.remove(waiter);
    }
  } leave{*this, end_of_supervisor, waiter};
  if (!end_of_supervisor.add(waiter)) return true;
  edge.check();
  const Waited waited =
      supervisor.await_interruptibly(waiter->done, WaitKind::start, site, deadline);
  if (waited == Waited::interrupted) check_exit();
  return waited == Waited::done;
}

}  // namespace genserver::v0
