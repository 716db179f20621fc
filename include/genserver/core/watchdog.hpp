// SPDX-License-Identifier: BSL-1.0
// The thread that reports servers which are stuck.
#pragma once

#include <genserver/core/directory.hpp>
#include <genserver/core/wait_graph.hpp>
#include <genserver/sync/platform/thread.hpp>
#include <genserver/sync/report_sink.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Looks from time to time at what every server does, and reports a handler that runs longer than
/// its server's Options::stuck_after, and callers that wait longer: once, then at twice that age,
/// four times, and so on.
///
/// The servers do nothing for it but to change a number with each message: it remembers the
/// number and when it first saw it. So an age is what it knows for certain, and up to a quarter of
/// stuck_after too short. Callers are reported together with the handler for which they wait, and
/// on their own only if no single handler is to blame. It looks four times in the shortest
/// stuck_after of all servers, and sleeps while there is none.
///
/// Threads: watch() any; inspect() one at a time.
class Watchdog {
 public:
  using Clock = std::chrono::steady_clock;

  /// Returns the one whose thread runs by itself; it is never destroyed.
  [[gnu::visibility("default")]] static Watchdog& instance() {
    static Watchdog& watchdog = *new Watchdog;
    return watchdog;
  }

  Watchdog() = default;
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Says that there is a new server with this stuck_after; the first call starts the thread.
  ///
  /// Throws: std::system_error if the system refuses the thread.
  void watch(std::chrono::nanoseconds stuck_after);

  /// Looks at every server, as if the time were `now`, and returns what is to be reported.
  ///
  /// Blocks: up to a second for each stack it takes.
  std::vector<Report> inspect(Clock::time_point now);

 private:
  /// What was seen of the server that had the record of the same index.
  struct Seen {
    Pid pid{};
    std::uint64_t turn = 0;
    Clock::time_point since{};
    std::chrono::nanoseconds next_report{};
  };

  static constexpr std::chrono::nanoseconds forever = std::chrono::nanoseconds::max();

  void run();
  std::optional<Report> inspect(ServerRecord& record, Clock::time_point now);
  bool is_handler_due(const ServerRecord& record, Seen& seen, const ServerIdentity& identity,
                      Clock::time_point now) const;
  static std::vector<WaitingCaller> callers_of(ServerRecord& record, Clock::time_point now,
                                               bool takes_all);

  std::vector<Seen> seen_{};                   // by the record's index; who inspects
  std::chrono::nanoseconds shortest_ = forever;  // of the servers of this round; who inspects

  std::mutex mutex_{};
  std::condition_variable sooner_{};
  std::chrono::nanoseconds period_ = forever;  // guarded by mutex_
  std::chrono::nanoseconds asked_ = forever;   // guarded by mutex_; since the round began
  bool is_running_ = false;                    // guarded by mutex_
};

inline void Watchdog::watch(std::chrono::nanoseconds stuck_after) {
  if (stuck_after.count() == 0) return;
  const std::scoped_lock lock{mutex_};
  if (!is_running_) {
    const auto entry = [](void* watchdog) { static_cast<Watchdog*>(watchdog)->run(); };
    Thread thread{entry, this, 0};
    thread.detach();
    is_running_ = true;
  }
  if (stuck_after < asked_) asked_ = stuck_after;
  if (stuck_after >= period_) return;
  period_ = stuck_after;
  sooner_.notify_one();
}

inline void Watchdog::run() {
  name_this_thread("watchdog");
  std::unique_lock lock{mutex_};
  for (;;) {  // for as long as the process lives
    const std::chrono::nanoseconds period = period_;
    if (period == forever) {
      sooner_.wait(lock, [&] { return period_ != forever; });
    } else {
      sooner_.wait_for(lock, period / 4, [&] { return period_ < period; });
      if (period_ < period) continue;
    }
    asked_ = forever;
    lock.unlock();
    try {
      for (const Report& report : inspect(Clock::now())) deliver(report);
    } catch (...) {  // out of memory: the next round may have some
    }
    lock.lock();
    // Servers that came during the round may not have been seen by it.
    period_ = shortest_ < asked_ ? shortest_ : asked_;
  }
}

inline std::vector<Report> Watchdog::inspect(Clock::time_point now) {
  std::vector<Report> reports;
  shortest_ = forever;
  Directory::instance().for_each([&](ServerRecord& record) {
    if (auto report = inspect(record, now)) reports.push_back(std::move(*report));
  });
  return reports;
}

inline std::optional<Report> Watchdog::inspect(ServerRecord& record, Clock::time_point now) {
  if (seen_.size() <= record.index()) seen_.resize(record.index() + std::size_t{1});
  Seen& seen = seen_[record.index()];
  Report report;
  report.kind = Report::Kind::stuck;
  bool is_due = false;
  bool is_covered = false;
  const bool is_there = record.with_identity([&](const ServerIdentity& identity) {
    if (identity.stuck_after.count() == 0) return;
    if (identity.stuck_after < shortest_) shortest_ = identity.stuck_after;
    const bool is_same_handler = seen.pid == identity.pid && seen.turn == record.turn();
    is_due = is_handler_due(record, seen, identity, now);
    is_covered = is_same_handler && seen.turn % 2 == 1;
    report.server = identity.name;
    report.pid = identity.pid;
    report.mailbox_size = identity.mailbox->size();
    report.mailbox_capacity = identity.mailbox->capacity();
  });
  if (!is_there) return std::nullopt;
  if (is_covered && !is_due) return std::nullopt;  // its callers come with its own report
  report.callers = callers_of(record, now, is_due);
  if (!is_due && report.callers.empty()) return std::nullopt;
  if (is_due) {
    report.age = now - seen.since;
    report.site = record.message_site();
    std::tie(report.client, report.client_pid) =
        Directory::instance().find(record.message_sender());
  }
  if (record.is_suspended()) report.outcome = "the server is suspended: it waits for resume()";
  if (auto edge = Waiting::current(record)) report.cycle.push_back(std::move(*edge));
  report.stacks.push_back({report.server, report.pid, record.runner_stack()});
  if (is_due && record.turn() != seen.turn) return std::nullopt;  // it has just ended
  return report;
}

/// Returns whether the handler that runs is to be reported now, and remembers that.
inline bool Watchdog::is_handler_due(const ServerRecord& record, Seen& seen,
                                     const ServerIdentity& identity, Clock::time_point now) const {
  const std::uint64_t turn = record.turn();
  if (seen.pid != identity.pid || seen.turn != turn) {
    seen = {identity.pid, turn, now, identity.stuck_after};
    return false;
  }
  if (turn % 2 == 0 || now - seen.since < seen.next_report) return false;
  while (seen.next_report <= now - seen.since) seen.next_report *= 2;
  return true;
}

/// Returns the callers whose report is due, or all if they come with a report anyhow; their next
/// one is due at twice the age then.
inline std::vector<WaitingCaller> Watchdog::callers_of(ServerRecord& record,
                                                       Clock::time_point now, bool takes_all) {
  std::vector<WaitingCaller> callers;
  record.with_long_waits([&](std::vector<LongWait*>& waits) {
    for (LongWait* const wait : waits) {
      const std::chrono::nanoseconds age = now - wait->since;
      if (age < wait->next_report && !takes_all) continue;
      while (wait->next_report <= age) wait->next_report *= 2;
      callers.push_back(wait->caller);
      callers.back().age = age;
    }
  });
  return callers;
}

}  // namespace genserver::v0
