// SPDX-License-Identifier: BSL-1.0
// A service that starts another one again whenever it has failed.
#pragma once

#include <genserver/otp/condition.hpp>
#include <genserver/otp/runner.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace genserver::inline v0 {

/// The options of a TimedRestart.
struct TimedRestartOptions {
  /// How long to wait before the next start; gets the number of starts so far.
  std::function<Timespan(std::uint64_t starts)> wait = [](std::uint64_t) {
    return Timespan{std::chrono::seconds{1}};
  };
  /// After that many starts the next failure ends it, with ServiceError restart_limit; 0: never.
  std::uint64_t limit = 0;
  /// Told each time that the service has stopped but was not halted: after which start, and why;
  /// with a reason that is not abnormal if it was suspended.
  std::function<void(std::uint64_t starts, const ExitReason& reason)> on_stop{};
  bool is_suspended = false;  ///< Whether it begins suspended.
};

/// Runs a service, and starts it again, after some time, whenever it has failed.
///
///   const auto restart = std::make_shared<TimedRestart>(
///       connection, TimedRestartOptions{.wait = [](auto) { return 500ms; }, .limit = 10});
///   runner.start(Service{"connection with restarts", restart});
///
/// It is ready at once, whether the service is or not. What wait and on_stop throw ends it.
///
/// Threads: any. One runner runs it.
class TimedRestart {
 public:
  explicit TimedRestart(Service service, TimedRestartOptions options = {})
      : service_{std::move(service)},
        options_{std::move(options)},
        is_suspended_{options_.is_suspended} {}

  /// What the service is that restarts the other.
  void run(ServiceContext& context);

  /// Halts the service, also while it starts, until resume(). Returns false if it is suspended
  /// already. Does not wait.
  bool suspend();
  /// Lets it run again. Returns false if it is not suspended.
  bool resume();

  [[nodiscard]] bool is_suspended() const {
    const std::scoped_lock lock{mutex_};
    return is_suspended_;
  }
  /// Returns whether the service is ready, and has not ended since.
  [[nodiscard]] bool is_running() const {
    const std::scoped_lock lock{mutex_};
    return is_running_;
  }
  /// Returns how often it was started.
  [[nodiscard]] std::uint64_t starts() const {
    const std::scoped_lock lock{mutex_};
    return starts_;
  }

 private:
  void note_ready();
  void note_end();
  void remember(const ServiceEnd& end);
  void remember(const ServiceChange& change);
  bool begin_start(const ServiceContext& context);
  std::optional<ExitReason> run_once(Runner& runner, const ServiceContext& context);
  void start(Runner& runner, const ServiceContext& context);
  std::optional<ExitReason> reason_of_end(const ServiceContext& context, ExitReason other);
  void check_limit(std::uint64_t starts, const ExitReason& reason) const;

  const Service service_;
  const TimedRestartOptions options_;

  mutable std::mutex mutex_{};
  // guarded by mutex_:
  bool is_suspended_;
  bool is_running_ = false;
  std::uint64_t starts_ = 0;
  int runs_ = 0;                       // that have begun, and whose end is not known
  std::optional<ExitReason> ended_{};  // the run that was started last
  StopSource start_{};                 // for the start that goes on
  Condition changed_{};                // any of these
};

inline void TimedRestart::run(ServiceContext& context) {
  Runner runner{{.on_end = [this](const ServiceEnd& end) { remember(end); },
                 .on_state = [this](const ServiceChange& change) { remember(change); }}};
  context.ready();
  while (begin_start(context)) {
    const std::optional<ExitReason> reason = run_once(runner, context);
    note_end();
    if (!reason) return;
    const std::uint64_t starts = this->starts();
    if (options_.on_stop) options_.on_stop(starts, *reason);
    check_limit(starts, *reason);
    if (context.sleep_for(options_.wait(starts))) return;
  }
}

/// Waits while it is suspended. Returns false if it has to halt.
inline bool TimedRestart::begin_start(const ServiceContext& context) {
  std::unique_lock lock{mutex_};
  const Waited waited = changed_.wait(lock, Deadline::never(), context.stop_token(),
                                      [this] { return !is_suspended_; });
  if (waited != Waited::done || context.should_halt()) return false;
  ++starts_;
  ended_.reset();
  start_ = StopSource{};
  return true;
}

/// Starts the service and waits for its end, or brings that about. Returns why it has ended, or
/// nothing if this one has to halt.
inline std::optional<ExitReason> TimedRestart::run_once(Runner& runner,
                                                        const ServiceContext& context) {
  std::exception_ptr error = capture([&] { start(runner, context); });
  if (error) return reason_of_end(context, ExitReason::exception(std::move(error)));
  note_ready();
  {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, Deadline::never(), context.stop_token(),
                  [this] { return ended_ || is_suspended_; });
    if (ended_ && !context.should_halt()) return ended_;
  }
  error = capture([&] { runner.halt(service_); });
  if (error && context.should_halt()) std::rethrow_exception(std::move(error));
  return reason_of_end(context, ExitReason::normal());
}

/// Starts the service, unless this one has to halt, or is suspended, before that is ready.
inline void TimedRestart::start(Runner& runner, const ServiceContext& context) {
  std::unique_lock lock{mutex_};
  const StopSource source = start_;
  lock.unlock();
  const StopCallback halts{context.stop_token(), [source] { StopSource{source}.request_stop(); }};
  runner.start(source.get_token(), service_);
}

/// Waits until it is known why the last run has ended, and returns that, or `other` if there was
/// none; nothing if this one has to halt.
inline std::optional<ExitReason> TimedRestart::reason_of_end(const ServiceContext& context,
                                                             ExitReason other) {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, Deadline::never(), context.stop_token(), [this] { return runs_ == 0; });
  if (context.should_halt()) return std::nullopt;
  return ended_ ? *ended_ : std::move(other);
}

inline void TimedRestart::check_limit(std::uint64_t starts, const ExitReason& reason) const {
  if (options_.limit == 0 || starts < options_.limit || !reason.is_abnormal()) return;
  throw ServiceError{ServiceError::Kind::restart_limit, service_.name(), reason.what()};
}

inline bool TimedRestart::suspend() {
  std::unique_lock lock{mutex_};
  if (std::exchange(is_suspended_, true)) return false;
  changed_.notify_all();
  StopSource start = start_;
  lock.unlock();
  start.request_stop();  // who waits for it wakes up
  return true;
}

inline bool TimedRestart::resume() {
  const std::scoped_lock lock{mutex_};
  if (!std::exchange(is_suspended_, false)) return false;
  changed_.notify_all();
  return true;
}

inline void TimedRestart::note_ready() {
  const std::scoped_lock lock{mutex_};
  is_running_ = !ended_;  // it may have been told already
}

inline void TimedRestart::note_end() {
  const std::scoped_lock lock{mutex_};
  is_running_ = false;
}

inline void TimedRestart::remember(const ServiceEnd& end) {
  if (end.service != service_) return;  // it has started another one with its context's runner
  const std::scoped_lock lock{mutex_};
  --runs_;
  ended_ = end.reason;
  is_running_ = false;
  changed_.notify_all();
}

inline void TimedRestart::remember(const ServiceChange& change) {
  if (change.service != service_ || change.to != ServiceState::starting) return;
  const std::scoped_lock lock{mutex_};
  ++runs_;
  changed_.notify_all();  // it may have ended before this was told
}

}  // namespace genserver::v0
