// SPDX-License-Identifier: BSL-1.0
// The wait of a handler for another server, and what to do if that is a deadlock.
#pragma once

#include <genserver/base/report.hpp>
#include <genserver/core/callee.hpp>
#include <genserver/core/running.hpp>
#include <genserver/core/wait_graph.hpp>
#include <genserver/sync/report_sink.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// The edge of the wait graph for whatever the calling thread runs; nothing on other threads.
class CallerEdge {
 public:
  CallerEdge() noexcept = default;
  /// As default-made, and then begin().
  CallerEdge(const Callee& target, WaitKind kind, const CallSite& site) noexcept {
    begin(target, kind, site);
  }

  /// Publishes the edge, if a handler runs on this thread. `site` is where it waits.
  void begin(const Callee& target, WaitKind kind, const CallSite& site) noexcept;

  /// Returns what ends the edge; for who will answer.
  [[nodiscard]] WaitToken token() const noexcept { return waiting_.token(); }

  /// Returns whether another wait of the same handler has replaced it meanwhile.
  [[nodiscard]] bool is_replaced() const noexcept {
    return caller_ != nullptr && !waiting_.is_there();
  }

  /// Says since when it waits, once that is more than a moment.
  void set_since(Deadline::Clock::time_point since) noexcept {
    if (caller_ != nullptr) caller_->record().set_wait_since(since);
  }

  /// Looks whether the edge closes a circle; to be called before anything is sent.
  ///
  /// Throws: Deadlock, after the report, if the caller's Options::on_deadlock says so. The edge
  ///         is gone then.
  void check() {
    if (caller_ != nullptr) check_caller();
  }
  /// The same for who knows what to do then: returns whether it closes a circle, reports nothing,
  /// and stays.
  [[nodiscard]] bool is_circular() {
    return caller_ != nullptr && waiting_.find_cycle(false).has_value();
  }

 private:
  void check_caller();
  [[nodiscard]] bool is_lasting();
  [[nodiscard]] Report report_on(const std::vector<Waiting::Member>& cycle, bool raises) const;

  Callee* caller_ = nullptr;
  const Callee* target_ = nullptr;
  WaitKind kind_ = WaitKind::call;
  Waiting waiting_{};
};

inline void CallerEdge::begin(const Callee& target, WaitKind kind,
                              const CallSite& site) noexcept {
  const Running* const running = Running::now();
  if (running == nullptr) return;
  caller_ = &running->server;
  target_ = &target;
  kind_ = kind;
  waiting_.begin(caller_->record(), target.record(), kind, site);
}

inline void CallerEdge::check_caller() {
  if (caller_->options().on_deadlock == OnDeadlock::ignore) return;
  if (!is_lasting()) return;
  const bool raises = caller_->options().on_deadlock == OnDeadlock::raise;
  const auto cycle = waiting_.find_cycle(raises);
  if (!cycle || (!raises && !Waiting::is_first_to_report(*cycle))) return;
  Report report = report_on(*cycle, raises);
  deliver(report);
  if (!raises) return;
  std::string message = "deadlock";
  const char* separator = ": ";
  for (const WaitEdge& edge : report.cycle) {
    message += std::exchange(separator, ", ") + to_string(edge);
  }
  throw Deadlock{message, std::move(report.cycle)};
}

/// Returns whether the edge closes a circle, and nobody in that is about to leave it: by being
/// refused, since what is not sent yet to a server that takes no more never waits, though its edge
/// may be there for a moment; or by an exit signal, which ends nearly every wait.
inline bool CallerEdge::is_lasting() {
  const auto is_sending = [](WaitKind kind) {
    return kind == WaitKind::call || kind == WaitKind::room;
  };
  constexpr int moments = 100;
  for (int passed = 0; passed < moments; ++passed) {
    const auto cycle = waiting_.find_cycle(false);
    if (!cycle) return false;
    if (is_sending(kind_) && target_->is_closed()) return false;  // this one has not sent anything
    const auto sends_here = [&](const Waiting::Member& member) {
      return is_sending(member.edge.kind) && member.edge.target_pid == caller_->pid();
    };
    const auto leaves = [&](const Waiting::Member& member) {
      return member.record != &caller_->record() && member.record->is_exiting();
    };
    const bool is_called = std::any_of(cycle->begin(), cycle->end(), sends_here);
    const bool is_left = std::any_of(cycle->begin(), cycle->end(), leaves);
    if (!is_left && (!caller_->is_closed() || !is_called)) return true;
    OneShot moment;
    moment.sleep(Deadline::after(std::chrono::milliseconds{1}));
  }
  return true;
}

inline Report CallerEdge::report_on(const std::vector<Waiting::Member>& cycle,
                                    bool raises) const {
  Report report;
  report.kind = Report::Kind::deadlock;
  report.server = caller_->name();
  report.pid = caller_->pid();
  for (const Waiting::Member& member : cycle) {
    report.cycle.push_back(member.edge);
    // They stay where they are until this thread goes on, so the stacks are those of the circle.
    report.stacks.push_back(
        {member.edge.waiter, member.edge.waiter_pid, member.record->runner_stack()});
  }
  report.outcome = raises ? "the request that closes the circle was not sent, it throws Deadlock"
                          : "on_deadlock is `report`: the servers wait for each other";
  return report;
}

}  // namespace genserver::v0
