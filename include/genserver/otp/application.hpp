// SPDX-License-Identifier: BSL-1.0
// The life of a program whose servers are a tree.
#pragma once

#include <genserver/core/snapshot.hpp>
#include <genserver/otp/any_supervisor.hpp>
#include <genserver/sync/platform/termination_signals.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// The options of an Application; all may be left out.
struct ApplicationOptions {
  std::string name = "application";  ///< For reports and errors.
  /// How long the tree may take to stop. Then what has not ended is killed.
  std::chrono::nanoseconds shutdown = std::chrono::seconds{10};
  /// How much longer its supervisors may take, which do that.
  std::chrono::nanoseconds grace = std::chrono::seconds{2};
};

/// Runs a tree of supervisors until the process is asked to end, and then stops it in order: an
/// object for main, made before anything else.
///
///   int main() {
///     Application application;
///     Supervisor tree{{}, child<Database>({.id = "database"}), child<Shop>({.id = "shop"})};
///     return application.run(tree);
///   }
///
/// As long as it lives it takes SIGINT and SIGTERM; see TerminationSignals. The first one stops the
/// tree; one that comes before run() is remembered until then. The second one, whenever it comes,
/// ends the process: each server that is busy is reported as stuck, with its stack, and then
/// std::_Exit is called with 128 and the signal's number. The third one does that without waiting
/// for the reports.
///
/// C++ cannot end a thread. If there are servers that did not end (killed()), their handlers may be
/// running on while main() returns, and use objects that are static. If there are such objects, let
/// main end by std::quick_exit, which destroys none, or by std::_Exit. What is the library's own is
/// never destroyed, so its threads do no harm then.
///
/// Threads: any; run() is for one at a time, as a rule the main thread.
/// Erlang:  application, and init:stop/0, which the emulator calls on SIGTERM.
class Application {
 public:
  /// Throws: InvalidArgument if the options make no sense, or there is an Application already;
  ///         Forked; std::system_error if the system refuses a thread.
  explicit Application(ApplicationOptions options = {}, CallSite site = CallSite::here())
      : options_{validated(std::move(options), site)},
        signals_{[this](int signal) { on_signal(signal); }, site} {}
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  /// Waits until there is a signal, request_stop() is called, or the tree ends by itself. In the
  /// first two cases it then stops the tree: children in reverse order, as their specifications
  /// say, but within ApplicationOptions::shutdown. What has not ended then is killed, and reported:
  /// by its supervisor, and with its stack if its handler does not return.
  ///
  /// Returns the status for main: 0 if the tree has ended in order; 1 if something had to be
  /// killed, if it ended because there were too many restarts, or if its reason is abnormal.
  ///
  /// Blocks: until the tree has ended; once it is to stop, for shutdown and grace and about another
  ///         grace at most, whatever the servers do.
  /// Throws: SelfWait in a server's handler; InvalidArgument if it is running already; Forked.
  int run(AnySupervisor& tree, CallSite site = CallSite::here());

  /// Lets run() stop the tree, which ends with `reason`. It may come before run(). Only the first
  /// request counts, a signal being one, too. Does not wait; handlers may do it.
  void request_stop(ExitReason reason = ExitReason::shutdown());
  /// Returns whether it was asked to stop; for a main that takes long before run().
  [[nodiscard]] bool is_stopping() const {
    const std::scoped_lock lock{mutex_};
    return reason_.has_value();
  }

  /// Returns the servers that had to be killed so that the last run() could return.
  [[nodiscard]] std::vector<AnyRef> killed() const {
    const std::scoped_lock lock{mutex_};
    return killed_;
  }

 private:
  /// Tells run() of the tree's end.
  struct TreeEnd final : ExitWatcher {
    explicit TreeEnd(Application& of) noexcept : application{of} {}
    void on_exit(const ExitedServer&) noexcept override {
      // Under the lock, so that run() cannot have returned before this is done.
      const std::scoped_lock lock{application.mutex_};
      has_come = true;
      application.changed_.notify_all();
    }
    Application& application;
    bool has_come = false;  // guarded by application.mutex_
  };

  static ApplicationOptions validated(ApplicationOptions options, const CallSite& site);
  void on_signal(int signal);
  void report_busy(int signal) const noexcept;
  void begin_run(const CallSite& site);
  std::optional<ExitReason> await_request(const TreeEnd& end);
  void stop(AnySupervisor& tree, const ExitReason& reason, const TreeEnd& end);
  std::vector<AnyRef> end_left(const StopLimit& limit);
  void kill_rest(const StopLimit& limit);

  const ApplicationOptions options_;
  mutable std::mutex mutex_{};
  std::condition_variable changed_{};  // reason_ is there, or the tree has ended
  // guarded by mutex_:
  std::optional<ExitReason> reason_{};
  bool is_warned_ = false;  // a signal has come
  bool is_running_ = false;
  std::vector<AnyRef> killed_{};

  TerminationSignals signals_;  // last: its thread uses the others
};

inline ApplicationOptions Application::validated(ApplicationOptions options, const CallSite& site) {
  const auto check = [&](const char* what, std::chrono::nanoseconds& length) {
    if (length.count() < 0) {
      throw InvalidArgument{
          "application \"" + options.name + "\" at " + to_string(site) + ": " + what + " is " +
          std::to_string(length.count()) + " ns, it cannot be negative"};
    }
    length = Timespan{length}.length();  // which can be added to any point of time
  };
  check("shutdown", options.shutdown);
  check("grace", options.grace);
  return options;
}

inline void Application::request_stop(ExitReason reason) {
  const std::scoped_lock lock{mutex_};
  if (!reason_) reason_ = std::move(reason);
  changed_.notify_all();
}

inline void Application::on_signal(int signal) {
  const bool is_first = [&] {
    const std::scoped_lock lock{mutex_};
    return !std::exchange(is_warned_, true);
  }();
  if (is_first) return request_stop(ExitReason::shutdown(TerminationSignals::name_of(signal)));
  TerminationSignals::exit_at_next();  // a sink of reports may hang, too
  report_busy(signal);
  std::_Exit(TerminationSignals::status_of(signal));
}

inline void Application::report_busy(int signal) const noexcept {
  try {
    for (ServerSnapshot& server : snapshot(Stacks::all).servers) {
      if (!server.message) continue;
      Report report;
      report.kind = Report::Kind::stuck;
      report.server = server.name;
      report.pid = server.pid;
      report.site = server.message->site;
      report.client = std::move(server.message->sender);
      report.client_pid = server.message->sender_pid;
      report.age = std::max(server.message->age, std::chrono::nanoseconds{1});
      report.mailbox_size = server.mailbox_size;
      report.mailbox_capacity = server.mailbox_capacity;
      if (server.waits_for) report.cycle.push_back(std::move(*server.waits_for));
      report.callers = std::move(server.callers);
      report.stacks.push_back({server.name, server.pid, std::move(server.stack)});
      report.outcome = options_.name + " was asked to end a second time, by " +
                       TerminationSignals::name_of(signal) + ", and does so at once";
      deliver(report);
    }
  } catch (...) {  // out of memory
  }
}

inline int Application::run(AnySupervisor& tree, CallSite site) {
  tree.callee().check_not_forked(site);
  begin_run(site);
  const struct EndOfRun {
    Application& application;
    ~EndOfRun() {
      const std::scoped_lock lock{application.mutex_};
      application.is_running_ = false;
    }
  } end_of_run{*this};
  const auto end = std::make_shared<TreeEnd>(*this);
  if (!tree.shared_core()->end().watchers().add(end)) {
    const std::scoped_lock lock{mutex_};
    end->has_come = true;
  }
  // Nothing throws from here on to the end of the tree, which tells `end`.
  if (const auto reason = await_request(*end)) stop(tree, *reason, *end);
  tree.shared_core()->end().done().sleep(Deadline::never());  // until the others are told, too
  const StopLimit& limit = *tree.stop_limit();
  std::vector<AnyRef> late = end_left(limit);
  kill_rest(limit);
  const std::scoped_lock lock{mutex_};
  killed_ = limit.killed();
  killed_.insert(killed_.end(), late.begin(), late.end());
  const bool is_in_order =
      killed_.empty() && !limit.has_given_up() && !tree.exit_reason()->is_abnormal();
  return is_in_order ? EXIT_SUCCESS : EXIT_FAILURE;
}

inline void Application::begin_run(const CallSite& site) {
  const auto who = [&] {
    return "application \"" + options_.name + "\" at " + to_string(site);
  };
  if (Running::now() != nullptr) throw SelfWait{who() + ": run() was called in a handler"};
  const std::scoped_lock lock{mutex_};
  if (is_running_) throw InvalidArgument{who() + ": run() was called while it is running"};
  is_running_ = true;
  killed_.clear();
}

/// Waits for a request to stop, and returns its reason; nothing if the tree has ended first.
inline std::optional<ExitReason> Application::await_request(const TreeEnd& end) {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [&] { return reason_ || end.has_come; });
  return end.has_come ? std::nullopt : reason_;
}

/// Stops the tree; when this returns it has ended, or counts as ended.
inline void Application::stop(AnySupervisor& tree, const ExitReason& reason, const TreeEnd& end) {
  const Deadline limit = Deadline::after(options_.shutdown);
  tree.stop_limit()->set(limit, options_.grace / 2);
  tree.request_stop(reason);
  {
    std::unique_lock lock{mutex_};
    const auto last = limit.when() + options_.grace;
    if (changed_.wait_until(lock, last, [&] { return end.has_come; })) return;
  }
  tree.kill();  // it hangs itself, as in a child's constructor
  if (*tree.exit_reason() == ExitReason::killed()) tree.stop_limit()->add_killed(tree);
}

/// Waits for those that waited for their supervisors. Returns whom it had to kill.
inline std::vector<AnyRef> Application::end_left(const StopLimit& limit) {
  const Deadline last = limit.get().or_earlier(Deadline::after(options_.shutdown));
  std::vector<AnyRef> late;
  for (const AnyRef& each : limit.left()) {
    ServerCore& server = *each.shared_core();
    if (server.end().done().sleep(last)) continue;
    server.kill();
    late.push_back(each);
  }
  return late;
}

/// Sees to the end of those whose supervisors had to be killed.
inline void Application::kill_rest(const StopLimit& limit) {
  const Deadline last = Deadline::after(options_.grace);
  std::size_t seen = 0;
  for (auto killed = limit.killed(); seen < killed.size(); killed = limit.killed()) {
    for (; seen < killed.size(); ++seen) {  // each may leave others
      ServerCore& server = *killed[seen].shared_core();
      if (!server.end().done().sleep(last)) server.kill();
    }
  }
}

}  // namespace genserver::v0
