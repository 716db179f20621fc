// SPDX-License-Identifier: BSL-1.0
// One child, as its supervisor sees it.
#pragma once

#include <genserver/otp/child_definition.hpp>
#include <genserver/otp/child_slot.hpp>
#include <genserver/otp/monitor.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace genserver::inline v0 {

/// Starts one child and stops it; what to do when is for its supervisor.
///
/// Threads: the supervisor's.
class SupervisedChild {
 public:
  /// `limit` is the supervisor's.
  SupervisedChild(ChildDefinition definition, const std::shared_ptr<ServerCore>& supervisor,
                  std::shared_ptr<StopLimit> limit)
      : definition_{std::move(definition)},
        supervisor_{supervisor},
        limit_{std::move(limit)},
        slot_{std::make_shared<ChildSlot>(definition_.spec().id, AnyRef::of(supervisor))} {}

  [[nodiscard]] const ChildDefinition& definition() const noexcept { return definition_; }
  [[nodiscard]] const ChildSpec& spec() const noexcept { return definition_.spec(); }
  [[nodiscard]] const std::shared_ptr<ChildSlot>& slot() const noexcept { return slot_; }
  [[nodiscard]] ChildStatus status() const noexcept { return status_; }
  [[nodiscard]] bool is_running() const noexcept { return status_ == ChildStatus::running; }
  /// Returns its server, or the last one if it has none.
  [[nodiscard]] const AnyRef& server() const noexcept { return started_.server; }

  /// Starts a server, which `monitor(server)` makes sure to be told of.
  ///
  /// Blocks: until its State is made. Throws: what that throws, IgnoreStart among it.
  template <class MakeMonitor>
  void start(MakeMonitor&& monitor);

  /// What to do with a child whose handler waits for its supervisor, if an exit signal is no help.
  enum class IfCircular {
    kill,
    leave  ///< The supervisor is ending, and that lets the handler go on.
  };
  /// How a stop has ended.
  enum class Stopped {
    ended,
    killed,           ///< Its time was up.
    killed_circular,  ///< It waited for its supervisor.
    left              ///< It has been asked to end, and will when the supervisor has ended.
  };
  /// Asks the server to end with `reason`, and waits for that; kills it when its time is up. No
  /// Down comes from it any more. If it calls its supervisor meanwhile, it gets Deadlock.
  ///
  /// Blocks: until its end, by itself, at the end of its time, or at the supervisor's limit.
  Stopped stop(const ExitReason& reason, IfCircular if_circular) noexcept {
    prepare_stop();
    return finish(if_circular, [&] { ask(reason); });
  }
  /// The same in two steps, for who stops several at a time.
  void begin_stop(const ExitReason& reason) noexcept {
    prepare_stop();
    ask(reason);
  }
  Stopped finish_stop(IfCircular if_circular) noexcept {
    return finish(if_circular, [] {});
  }
  /// Notes that it has no server, since the last one ended.
  void set_gone(ChildStatus status) noexcept;

  /// Returns why the last server ended; `no_server` if there was none.
  [[nodiscard]] ExitReason reason() const {
    const AnyRef& last = started_.server;
    return last ? last.exit_reason().value_or(ExitReason::no_server()) : ExitReason::no_server();
  }

  /// Counts a restart, and returns how many there were before, in a row: none if the last server
  /// has run for `reset_after`.
  unsigned count_restart(std::chrono::nanoseconds reset_after) noexcept {
    const bool has_run = std::exchange(is_fresh_, false);
    if (has_run && Deadline::Clock::now() - started_at_ >= reset_after) restarts_ = 0;
    return restarts_++;
  }

  /// Marks the restart that is planned for later, so that an older plan can be told from it.
  std::uint64_t plan_restart() noexcept { return ++plan_; }
  [[nodiscard]] bool is_planned(std::uint64_t plan) const noexcept {
    return status_ == ChildStatus::restarting && plan == plan_;
  }

 private:
  /// Ends the child when its supervisor was killed, and can no longer do that itself.
  struct Orphan final : ExitWatcher {
    Orphan(std::weak_ptr<ServerCore> of, std::shared_ptr<StopLimit> supervisors) noexcept
        : child{std::move(of)}, limit{std::move(supervisors)} {}
    void on_exit(const ExitedServer&) noexcept override {
      const auto its = child.lock();
      if (its == nullptr || its->end().is_over()) return;
      its->exit(ExitReason::killed());
      note_killed(*limit, AnyRef::of(its));
    }
    const std::weak_ptr<ServerCore> child;
    const std::shared_ptr<StopLimit> limit;
  };
  /// Keeps the owner of a child that was left until that has ended.
  struct Keeper final : ExitWatcher {
    explicit Keeper(std::shared_ptr<void> of) noexcept : owner{std::move(of)} {}
    void on_exit(const ExitedServer&) noexcept override { owner.reset(); }
    std::shared_ptr<void> owner;
  };

  void prepare_stop() noexcept {
    monitor_.cancel();
    asked_at_ = Deadline::Clock::now();
    kill_at_ = definition_.shutdown().deadline();
  }
  void ask(const ExitReason& reason) noexcept;
  template <class Cause>
  Stopped finish(IfCircular if_circular, Cause&& cause) noexcept;
  Stopped leave() noexcept;
  bool await_end(CallerEdge& edge) noexcept;
  static bool is_circular(CallerEdge& edge) noexcept;
  [[nodiscard]] Deadline kill_at() const {
    return kill_at_.or_earlier(definition_.is_supervisor() ? limit_->of_supervisor()
                                                           : limit_->of_child(asked_at_));
  }
  static void note_killed(StopLimit& limit, const AnyRef& server) noexcept {
    try {
      limit.add_killed(server);
    } catch (...) {  // out of memory: it is in snapshots for as long as it runs
    }
  }

  const ChildDefinition definition_;
  const std::weak_ptr<ServerCore> supervisor_;  // whose State holds this
  const std::shared_ptr<StopLimit> limit_;      // the supervisor's
  const std::shared_ptr<ChildSlot> slot_;
  ChildStatus status_ = ChildStatus::stopped;
  StartedChild started_{};  // its owner is in the slot
  Monitor monitor_{};
  std::shared_ptr<Orphan> orphan_{};
  // While it is being stopped; the limit may be earlier:
  Deadline kill_at_ = Deadline::never();
  Deadline::Clock::time_point asked_at_{};
  Deadline::Clock::time_point started_at_{};
  bool is_fresh_ = false;  // it was started, and no restart counted since
  unsigned restarts_ = 0;
  std::uint64_t plan_ = 0;
};

template <class MakeMonitor>
void SupervisedChild::start(MakeMonitor&& monitor) {
  StartedChild started = definition_.start();
  if (started.limit != nullptr) started.limit->set_above(limit_);
  auto orphan = std::make_shared<Orphan>(started.server.shared_core(), limit_);
  if (!supervisor_.lock()->end().watchers().add(orphan)) {
    started.server.shared_core()->exit(ExitReason::killed());
  }
  orphan_ = std::move(orphan);
  monitor_ = monitor(started.server);  // the last thing that may fail
  started_ = std::move(started);
  started_at_ = Deadline::Clock::now();
  is_fresh_ = true;
  status_ = ChildStatus::running;
  slot_->set_running(std::move(started_.owner), started_.server);
}

inline void SupervisedChild::ask(const ExitReason& reason) noexcept {
  ServerCore& server = *started_.server.shared_core();
  if (definition_.shutdown().is_brutal_kill()) {
    server.kill();
  } else if (spec().stop_by == StopBy::last_message || server.traps_exits()) {
    server.request_stop(reason);
  } else {
    server.exit(reason);
  }
}

template <class Cause>
SupervisedChild::Stopped SupervisedChild::finish(IfCircular if_circular, Cause&& cause) noexcept {
  ServerCore& server = *started_.server.shared_core();
  OneShot& done = server.end().done();
  // From here on who calls the supervisor closes the circle, and gets Deadlock.
  std::optional<CallerEdge> edge{std::in_place, server, WaitKind::stop, spec().site};
  bool is_late = is_circular(*edge);
  cause();
  if (edge->is_replaced()) {  // it has run the user's code, which has waited for others
    edge.emplace(server, WaitKind::stop, spec().site);
    is_late = is_circular(*edge);
  }
  if (is_late) {  // a signal ends most waits, but that takes a moment, on a busy machine a long one
    constexpr std::chrono::seconds patience{1};
    if (if_circular == IfCircular::kill) server.exit(ExitReason::shutdown());
    done.sleep(kill_at().or_earlier(Deadline{asked_at_ + patience}));
    is_late = !done.is_set() && is_circular(*edge);
    if (is_late && if_circular == IfCircular::leave) return leave();
  }
  const bool was_circular = is_late;
  if (!is_late) is_late = !await_end(*edge);
  if (is_late) {
    server.kill();
    done.sleep(Deadline::never());  // until all who monitor it have been told
  }
  const bool is_abandoned = server.record().life() == ServerRecord::Life::abandoned;
  if (is_late || is_abandoned) note_killed(*limit_, started_.server);
  if (!is_late) return Stopped::ended;
  return was_circular ? Stopped::killed_circular : Stopped::killed;
}

/// Lets the server end later, and its owner with it.
inline SupervisedChild::Stopped SupervisedChild::leave() noexcept {
  try {
    limit_->add_left(started_.server);
    const auto keeper = std::make_shared<Keeper>(slot_->owner());
    if (!started_.server.shared_core()->end().watchers().add(keeper)) keeper->owner.reset();
  } catch (...) {  // out of memory: then its owner is dropped here
  }
  return Stopped::left;
}

inline bool SupervisedChild::is_circular(CallerEdge& edge) noexcept {
  try {
    return edge.is_circular();
  } catch (...) {  // out of memory: then its time ends it
    return false;
  }
}

/// Waits for the end of a server that was asked to end. Returns false if its time is up.
inline bool SupervisedChild::await_end(CallerEdge& edge) noexcept {
  constexpr std::chrono::milliseconds moment{100};  // a limit that is set now wakes nobody
  ServerCore& server = *started_.server.shared_core();
  LongWaitScope watched{server, WaitKind::stop, spec().site};
  edge.set_since(watched.since());
  for (;;) {  // ended by the server's end, or by its time
    const Deadline kill_at = this->kill_at();
    if (server.end().done().sleep(kill_at.or_earlier(Deadline::after(moment)))) return true;
    if (kill_at.has_passed()) return false;
    watched.tell_if_long();
  }
}

inline void SupervisedChild::set_gone(ChildStatus status) noexcept {
  if (const auto orphan = std::exchange(orphan_, nullptr)) {
    supervisor_.lock()->end().watchers().remove(*orphan);
  }
  status_ = status;
  slot_->set_gone(status, reason());
}

}  // namespace genserver::v0
