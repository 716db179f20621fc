// SPDX-License-Identifier: BSL-1.0
// A supervisor's children, and what it does when one of them ends.
#pragma once

#include <genserver/otp/child_table.hpp>
#include <genserver/otp/link.hpp>
#include <genserver/otp/restart_window.hpp>
#include <genserver/otp/supervisor_options.hpp>
#include <genserver/sync/report_sink.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// The State of a supervisor's server. Its functions are for that server's handlers; users have
/// those of Supervisor and DynamicSupervisor.
///
///   stopped ──▶ running ──▶ restarting ──▶ running      one child
///      ▲           │            │  ▲──┘ a start that fails
///      └───────────┴────────────┴──▶ removed
///
/// Erlang: supervisor.erl, whose order of starts and stops this follows.
class SupervisorState {
 public:
  /// Starts the children in order.
  ///
  /// Blocks: until all have started. Throws: StartFailed, which names the child that did not and
  ///         nests why; the others have been stopped in reverse order then. ChildError;
  ///         InvalidArgument.
  SupervisorState(SupervisionRules rules, const std::vector<ChildDefinition>& children,
                  std::shared_ptr<StopLimit> limit);
  /// Stops what still runs: the supervisor was killed.
  ~SupervisorState() { stop_all(ExitReason::killed()); }
  SupervisorState(const SupervisorState&) = delete;
  SupervisorState& operator=(const SupervisorState&) = delete;

  void terminate(const ExitReason&) noexcept { stop_all(ExitReason::shutdown()); }
  /// A signal that a thread sends with exit() ends the supervisor; those of other servers, as of
  /// one that is linked, do not.
  void handle_info(const ExitSignal& signal) {
    if (!signal.who && signal.reason.kind() != ExitReason::Kind::normal) throw Exit{signal.reason};
  }

  /// Throws: ChildError; InvalidArgument; StartFailed, which nests what the child's start threw.
  std::shared_ptr<const ChildSlot> start_child(ChildDefinition definition);
  /// `Name`: an id, a slot, or a server. Throws: ChildError.
  template <class Name>
  void terminate_child(const Name& name);
  void restart_child(const std::string& id);
  void delete_child(const std::string& id);

  [[nodiscard]] std::shared_ptr<const ChildSlot> slot_of(const std::string& id, const void* type);
  [[nodiscard]] std::vector<ChildSnapshot> children() const { return children_.snapshots(); }
  [[nodiscard]] ChildCounts count_children() const { return children_.counts(); }

 private:
  using Place = ChildTable::Place;

  /// Children are being started and stopped, so their own code may run on this thread: what makes
  /// and destroys their owners.
  class Change {
   public:
    /// Throws: SelfWait if such code asks for another change, in the midst of this one.
    explicit Change(SupervisorState& state);
    ~Change() { state_.is_changing_ = false; }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    SupervisorState& state_;
  };

  static ServerRef<SupervisorState> self() { return genserver::self<SupervisorState>(); }

  Place add(ChildDefinition definition);
  void set_idle(Place child) noexcept;
  void start(Place child);
  [[noreturn]] void fail_start(Place child, const char* outcome);
  void stop(Place child, const ExitReason& reason,
            SupervisedChild::IfCircular if_circular) noexcept;
  void end_stop(Place child, SupervisedChild::Stopped how) noexcept;
  void stop_all(const ExitReason& reason) noexcept;
  void report(const SupervisedChild& child, const ExitReason& reason, const char* outcome) const;

  void on_down(const Down& down);
  void restart(Place child);
  void stop_others(Place child);
  void start_group(Place child);
  void retry(Place child);
  /// Returns a handler that does this with the child, if it is still waiting for that.
  [[nodiscard]] static auto plan(Place child, void (SupervisorState::*action)(Place)) {
    return [number = child->plan_restart(), slot = child->slot(), action](SupervisorState& state) {
      const Change change{state};
      const auto planned = state.children_.find_planned(*slot, number);
      if (planned) (state.*action)(*planned);
    };
  }
  void heed_auto_shutdown() const;
  [[nodiscard]] Place first_of_group(Place child);
  [[nodiscard]] std::chrono::nanoseconds delay_of(Place child);
  [[nodiscard]] bool is_forgotten(const SupervisedChild& child) const noexcept {
    return rules_.is_dynamic || child.spec().restart == Restart::temporary;
  }

  const SupervisionRules rules_;
  const std::shared_ptr<StopLimit> limit_;
  RestartWindow window_;
  std::minstd_rand random_{std::random_device{}()};
  bool is_changing_ = false;  // see Change

  ChildTable children_;
};

inline SupervisorState::SupervisorState(SupervisionRules rules,
                                        const std::vector<ChildDefinition>& children,
                                        std::shared_ptr<StopLimit> limit)
    : rules_{std::move(rules)},
      limit_{std::move(limit)},
      window_{rules_.options.max_restarts, rules_.options.within},
      children_{rules_.options.name, rules_.ids()} {
  validate(rules_.options);
  self().trap_exits(true);
  for (const ChildDefinition& definition : children) add(definition);  // all are checked first
  for (auto child = children_.begin(); child != children_.end();) {
    const auto next = std::next(child);
    try {
      start(child);
    } catch (...) {
      const struct Stop {
        SupervisorState& state;
        ~Stop() { state.stop_all(ExitReason::shutdown()); }
      } stop{*this};
      fail_start(child, "it could not be started, nor can its supervisor");
    }
    child = next;
  }
}

/// Returns the new child. Throws: ChildError; InvalidArgument.
inline SupervisorState::Place SupervisorState::add(ChildDefinition definition) {
  validate(definition.spec(), rules_.options.auto_shutdown, rules_.ids());
  return children_.add(std::move(definition), self().shared_core(), limit_);
}

inline SupervisorState::Change::Change(SupervisorState& state) : state_{state} {
  if (std::exchange(state.is_changing_, true)) {
    throw SelfWait{"supervisor \"" + state.rules_.options.name +
                   "\" was asked to change its children by one that it is starting or stopping"};
  }
}

inline std::shared_ptr<const ChildSlot> SupervisorState::start_child(ChildDefinition definition) {
  const Change change{*this};
  if (children_.size() >= rules_.max_children) {
    children_.refuse(ChildError::Kind::max_children, definition.spec().id);
  }
  const Place child = add(std::move(definition));
  const std::shared_ptr<const ChildSlot> slot = child->slot();
  try {
    start(child);
  } catch (...) {
    const struct Removal {
      SupervisorState& state;
      Place child;
      ~Removal() { state.children_.remove(child); }
    } removal{*this, child};
    fail_start(child, "it could not be started, and is no child");
  }
  return slot;
}

template <class Name>
void SupervisorState::terminate_child(const Name& name) {
  const Change change{*this};
  const Place child = children_.find(name);
  if (child->is_running()) {
    stop(child, ExitReason::shutdown(), SupervisedChild::IfCircular::kill);
  }
  set_idle(child);  // also if it was about to be restarted
}

inline void SupervisorState::restart_child(const std::string& id) {
  const Change change{*this};
  const Place child = children_.find_stopped(id);
  try {
    start(child);
  } catch (...) {
    fail_start(child, "it could not be started, and stays stopped");
  }
}

inline void SupervisorState::delete_child(const std::string& id) {
  const Change change{*this};
  children_.remove(children_.find_stopped(id));
}

inline std::shared_ptr<const ChildSlot> SupervisorState::slot_of(const std::string& id,
                                                                 const void* type) {
  const Place child = children_.find(id);
  if (child->definition().type() == type) return child->slot();
  throw InvalidArgument{"supervisor \"" + rules_.options.name + "\": child \"" + id + "\" is a " +
                        std::string{child->definition().type_name()} +
                        ", and was asked for as something else"};
}

/// A child has no server and is to get none.
inline void SupervisorState::set_idle(Place child) noexcept {
  if (is_forgotten(*child)) return children_.remove(child);
  if (child->status() != ChildStatus::stopped) child->set_gone(ChildStatus::stopped);
}

/// Starts a child that is not running. One that wants to be ignored has no server then, and may be
/// gone.
///
/// Throws: what its start throws; then it is as before.
inline void SupervisorState::start(Place child) {
  try {
    child->start([&](const AnyRef& server) {
      const Monitor monitor = self().monitor(server, [this](const Down& down) { on_down(down); });
      children_.add_server(server, child);
      return monitor;
    });
  } catch (const IgnoreStart&) {
    set_idle(child);
  }
}

/// Reports the exception that is being handled, and throws what it means to who wants the child.
inline void SupervisorState::fail_start(Place child, const char* outcome) {
  const std::exception_ptr error = std::current_exception();
  if (error == nullptr) throw;  // the thread ends
  report(*child, ExitReason::exception(error), outcome);
  std::throw_with_nested(
      StartFailed{"supervisor \"" + rules_.options.name + "\": child \"" + child->spec().id +
                  "\" could not be started: " + describe(error)});
}

inline void SupervisorState::stop(Place child, const ExitReason& reason,
                                  SupervisedChild::IfCircular if_circular) noexcept {
  end_stop(child, child->stop(reason, if_circular));
}

/// A child has been stopped.
inline void SupervisorState::end_stop(Place child, SupervisedChild::Stopped how) noexcept {
  constexpr const char* outcomes[] = {
      "", "it did not end in time, and was killed", "it waited for its supervisor, and was killed",
      "it waits for its supervisor, and ends when that has ended"};
  children_.forget_server(*child);
  child->set_gone(ChildStatus::stopped);
  if (how == SupervisedChild::Stopped::ended) return;
  try {
    report(*child, child->reason(), outcomes[static_cast<std::size_t>(how)]);
  } catch (...) {  // out of memory: its kill may have been reported
  }
}

inline void SupervisorState::stop_all(const ExitReason& reason) noexcept {
  using IfCircular = SupervisedChild::IfCircular;
  is_changing_ = true;  // for good
  if (rules_.is_dynamic) {  // all at once
    for (SupervisedChild& child : children_) {
      if (child.is_running()) child.begin_stop(reason);
    }
  }
  while (!children_.empty()) {
    const Place child = std::prev(children_.end());
    if (child->is_running() && rules_.is_dynamic) {
      end_stop(child, child->finish_stop(IfCircular::leave));
    } else if (child->is_running()) {
      stop(child, reason, IfCircular::leave);
    }
    children_.remove(child);
  }
}

inline void SupervisorState::report(const SupervisedChild& child, const ExitReason& reason,
                                    const char* outcome) const {
  Report report;
  report.kind = Report::Kind::supervisor;
  report.server = rules_.options.name;
  report.pid = running_server().pid();
  report.child = child.spec().id;
  report.site = child.spec().site;
  report.reason = reason;
  report.outcome = outcome;
  deliver(report);
}

inline void SupervisorState::on_down(const Down& down) {
  const Change change{*this};
  const auto found = children_.find_server(down.who.pid());
  if (!found) return;
  const Place child = *found;
  children_.forget_server(*child);
  if (is_restarted(child->spec().restart, child->reason())) {
    child->set_gone(ChildStatus::restarting);
    return restart(child);
  }
  const bool was_significant = child->spec().significant;
  set_idle(child);
  if (was_significant) heed_auto_shutdown();
}

/// A child that is marked as restarting is restarted, now or later, unless that is too often.
inline void SupervisorState::restart(Place child) {
  if (!window_.add(RestartWindow::Clock::now())) {
    report(*child, child->reason(), "that is more than max_restarts: the supervisor ends");
    limit_->give_up();
    children_.remove(child);
    throw Exit{ExitReason::shutdown()};
  }
  stop_others(child);
  const std::chrono::nanoseconds delay = delay_of(child);
  if (delay.count() == 0) return start_group(child);
  self().cast_after(delay, plan(child, &SupervisorState::start_group));
}

/// Stops those that the strategy restarts with `child`, in reverse order.
inline void SupervisorState::stop_others(Place child) {
  if (rules_.options.strategy == Strategy::one_for_one) return;
  std::vector<Place> others;
  const Place first = first_of_group(child);
  for (Place at = children_.end(); at != first;) {
    if (--at != child) others.push_back(at);
  }
  for (const Place other : others) {
    if (other->is_running()) {
      stop(other, ExitReason::shutdown(), SupervisedChild::IfCircular::kill);
    }
    set_idle(other);
  }
}

/// Starts `child` and those that the strategy restarts with it, in order.
inline void SupervisorState::start_group(Place child) {
  const bool is_alone = rules_.options.strategy == Strategy::one_for_one;
  const Place end = is_alone ? std::next(child) : children_.end();
  for (Place at = first_of_group(child); at != end;) {
    const Place next = std::next(at);
    if (!at->is_running()) {  // an admin may have started it meanwhile
      try {
        start(at);
      } catch (...) {
        // What comes after it is stopped until it has started, also who has caused all this.
        if (at != child && child->status() == ChildStatus::restarting) set_idle(child);
        return retry(at);
      }
    }
    at = next;
  }
}

/// Tries a restart that has failed again, after the messages that have come meanwhile.
inline void SupervisorState::retry(Place child) {
  const std::exception_ptr error = std::current_exception();
  if (error == nullptr) throw;  // the thread ends
  child->set_gone(ChildStatus::restarting);
  report(*child, ExitReason::exception(error), "it could not be restarted, and is tried again");
  self().cast(plan(child, &SupervisorState::restart));
}

inline void SupervisorState::heed_auto_shutdown() const {
  const AutoShutdown when = rules_.options.auto_shutdown;
  if (when == AutoShutdown::never) return;
  if (when == AutoShutdown::all_significant) {
    for (const SupervisedChild& child : children_) {
      if (child.spec().significant && child.status() != ChildStatus::stopped) return;
    }
  }
  throw Exit{ExitReason::shutdown()};
}

inline SupervisorState::Place SupervisorState::first_of_group(Place child) {
  return rules_.options.strategy == Strategy::one_for_all ? children_.begin() : child;
}

inline std::chrono::nanoseconds SupervisorState::delay_of(Place child) {
  if (!rules_.options.back_off) return {};
  const BackOff& back_off = *rules_.options.back_off;
  const unsigned restarts = child->count_restart(back_off.reset_after);
  return back_off.delay(restarts, std::uniform_real_distribution<>{}(random_));
}

}  // namespace genserver::v0
