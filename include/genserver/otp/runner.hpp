// SPDX-License-Identifier: BSL-1.0
// Who starts services and halts them.
#pragma once

#include <genserver/core/handler_wait.hpp>
#include <genserver/otp/runner_table.hpp>
#include <genserver/sync/platform/process.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// The options of a runner; all may be left out. Its listeners are told of all its services, before
/// their own are; see ServiceListeners.
struct RunnerOptions {
  std::function<void(const ServiceEnd&)> on_end{};       ///< One has ended.
  std::function<void(const ServiceFault&)> on_error{};   ///< One goes on after an error.
  std::function<void(const ServiceChange&)> on_state{};  ///< One is in another state.
  /// What becomes of those that were started with one that fails.
  OnFailedStart on_failed_start = OnFailedStart::roll_back;
};

/// One service, or several, and where a Runner was asked for them.
class ServiceList {
 public:
  ServiceList(const Service& service, CallSite site = CallSite::here())
      : services_{service}, site_{site} {}
  ServiceList(std::initializer_list<Service> services, CallSite site = CallSite::here())
      : services_{services}, site_{site} {}
  ServiceList(std::vector<Service> services, CallSite site = CallSite::here())
      : services_{std::move(services)}, site_{site} {}

  template <std::same_as<Service>... More>
  [[nodiscard]] ServiceList with(const More&... more) && {
    (services_.push_back(more), ...);
    return std::move(*this);
  }

  [[nodiscard]] const std::vector<Service>& services() const noexcept { return services_; }
  [[nodiscard]] const CallSite& site() const noexcept { return site_; }

 private:
  std::vector<Service> services_;
  CallSite site_;
};

/// A service and its state.
struct ServiceSnapshot {
  Service service;
  ServiceState state = ServiceState::halted;
};

/// Starts services, each in a thread of its own, and halts them.
///
///   Runner runner;
///   runner.start(database, web);      // returns when both are ready
///   runner.halt_for(10s, web);        // asks it to return, and waits for that
///
/// Functions that take services take one, several, or a list of them.
///
/// The threads are servers: a handler, or a service, that waits here is an edge of the wait graph,
/// and an exit signal for it ends the wait.
///
/// Lifetime: the destructor shuts the runner down, and waits.
/// Threads:  any, but destruction; also from services and listeners.
/// Throws:   Deadlock from whatever waits; Forked, but from questions, in a child made by fork().
class Runner {
 public:
  explicit Runner(RunnerOptions options = {})
      : on_failed_start_{options.on_failed_start},
        table_{std::make_shared<RunnerTable>(
            *this, ServiceListeners{std::move(options.on_end), std::move(options.on_error),
                                    std::move(options.on_state)})} {}
  /// Shuts the runner down.
  ///
  /// Blocks: until all services have ended, except in one of them, and until listeners in other
  ///         threads have returned, except in a listener. A ShutdownGuard bounds the former; the
  ///         latter is no edge of the wait graph.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Starts services. If one fails, the others are halted; or see OnFailedStart.
  ///
  /// Blocks: until all are ready, or one has failed and what was started with it has ended.
  /// Throws: ServiceError failed, whose reason() is what a service threw before it was ready;
  ///         already_running, not_enabled, not_ready, halted, exited; ServiceErrors, if several
  ///         failed; StartFailed if the system refuses a thread.
  template <std::same_as<Service>... More>
  void start(ServiceList services, const More&... more) {
    start_all(std::move(services).with(more...), Deadline::never(), {});
  }
  /// As start(), but gives up after `timeout`: ServiceError start_timeout. What was started is
  /// asked to halt then, and ends later; or goes on, see OnFailedStart.
  template <std::same_as<Service>... More>
  void start_for(Timespan timeout, ServiceList services, const More&... more) {
    start_all(std::move(services).with(more...), Deadline::after(timeout), {});
  }
  /// The same, but gives up when `stop` is requested: ServiceError cancelled.
  template <std::same_as<Service>... More>
  void start(const StopToken& stop, ServiceList services, const More&... more) {
    start_all(std::move(services).with(more...), Deadline::never(), stop);
  }

  /// Asks services to halt and waits until they have ended and their listeners were told. One that
  /// does not run is halted already; any number of threads may halt the same.
  ///
  /// A server, and a listener of an end, does not wait for listeners of what has ended already.
  ///
  /// Blocks: until then.
  /// Throws: ServiceError failed, whose reason() is what a service threw as it halted;
  ///         ServiceErrors; SelfWait in the service itself: then none was asked.
  template <std::same_as<Service>... More>
  void halt(ServiceList services, const More&... more) {
    halt_all(std::move(services).with(more...), Deadline::never());
  }
  /// As halt(), but waits for `timeout` at most: ServiceError halt_timeout, after a report with the
  /// stack of each that hangs. Those go on halting, and cannot be started before they have ended.
  template <std::same_as<Service>... More>
  void halt_for(Timespan timeout, ServiceList services, const More&... more) {
    halt_all(std::move(services).with(more...), Deadline::after(timeout));
  }
  /// As halt(), but does not wait; a service may ask itself.
  template <std::same_as<Service>... More>
  void request_halt(ServiceList services, const More&... more) {
    const ServiceList all = std::move(services).with(more...);
    check_not_forked(all.site());
    for (const KeptRun& each : runs_of(all)) ask(each);
  }

  /// Halts all services, and starts none from now on. It may be called again.
  ///
  /// Blocks: as halt(). Throws: as halt().
  void shutdown(CallSite site = CallSite::here()) {
    shut_down(Deadline::never(), ServerCore::Waiter::leaves, site);
  }
  void shutdown_for(Timespan timeout, CallSite site = CallSite::here()) {
    shut_down(Deadline::after(timeout), ServerCore::Waiter::leaves, site);
  }
  /// Starts no services until enable(); those that run go on. Returns false if it is not enabled.
  bool suspend() { return table_->change(RunnerState::suspended, RunnerState::enabled); }
  /// Starts services again, also after shutdown().
  void enable() { table_->change(RunnerState::enabled); }
  /// Returns whether it starts services.
  [[nodiscard]] RunnerState state() const { return table_->state(); }

  /// Returns the state of a service; of one that does not run, halted.
  [[nodiscard]] ServiceState state(const Service& service) const {
    const auto kept = table_->find(service);
    return kept ? kept->run->state() : ServiceState::halted;
  }
  /// Returns the services that are in one of these states, or all that run, in the order in which
  /// they were started. Those that are halted are not kept.
  [[nodiscard]] std::vector<ServiceSnapshot> services(
      std::initializer_list<ServiceState> states = {}) const;
  /// Returns the server that a running service is; for monitors and links.
  [[nodiscard]] std::optional<AnyRef> whereis(const Service& service) const {
    const auto kept = table_->find(service);
    return kept ? std::optional{kept->run->server()} : std::nullopt;
  }

 private:
  friend class ShutdownGuard;

  using Failures = std::vector<ServiceFailure>;

  static void ask(const KeptRun& kept) {
    kept.run->request_halt();
    kept.run->tell_changes();
  }
  [[nodiscard]] std::vector<KeptRun> runs_of(const ServiceList& services) const;
  void start_all(const ServiceList& services, Deadline deadline, const StopToken& stop);
  void make_runs(const ServiceList& services, const std::shared_ptr<StartGate>& gate,
                 std::vector<KeptRun>& kept, Failures& failures);
  static void settle(const std::vector<KeptRun>& runs, StartGate& gate, Waited waited,
                     ServiceError::Kind unready, Failures& failures);
  void roll_back(const std::vector<KeptRun>& runs, Deadline deadline, const CallSite& site);
  void halt_all(const ServiceList& services, Deadline deadline) {
    check_not_forked(services.site());
    halt(runs_of(services), deadline, ServerCore::Waiter::leaves, services.site());
  }
  static void check_not_forked(const CallSite& site);
  static void check_not_self(const std::vector<KeptRun>& runs, const CallSite& site);
  static void halt(const std::vector<KeptRun>& runs, Deadline deadline, ServerCore::Waiter waiter,
                   const CallSite& site);
  static bool await_end(const KeptRun& kept, Deadline deadline, ServerCore::Waiter waiter,
                        const CallSite& site);
  void shut_down(Deadline deadline, ServerCore::Waiter waiter, const CallSite& site);

  const OnFailedStart on_failed_start_;
  const std::shared_ptr<RunnerTable> table_;  // runs have it, too
};

inline Runner::~Runner() {
  if (is_forked_child()) return;  // the threads are not here
  table_->change(RunnerState::shut_down);
  const std::vector<KeptRun> runs = table_->all();
  for (const KeptRun& each : runs) ask(each);
  for (const KeptRun& each : runs) each.server->shared_core()->leave();
  table_->close();
}

inline std::vector<ServiceSnapshot> Runner::services(
    std::initializer_list<ServiceState> states) const {
  std::vector<ServiceSnapshot> found;
  for (const KeptRun& each : table_->all()) {
    const ServiceState state = each.run->state();
    const bool is_wanted =
        states.size() == 0 || std::find(states.begin(), states.end(), state) != states.end();
    const auto last = table_->find(each.run->service());
    if (is_wanted && last && last->run == each.run) found.push_back({each.run->service(), state});
  }
  return found;
}

inline std::vector<KeptRun> Runner::runs_of(const ServiceList& services) const {
  std::vector<KeptRun> found;
  for (const Service& service : services.services()) {
    if (auto kept = table_->find(service)) found.push_back(std::move(*kept));
  }
  return found;
}

inline void Runner::start_all(const ServiceList& services, Deadline deadline,
                              const StopToken& stop) {
  const CallSite site = services.site();
  check_not_forked(site);
  const bool rolls_back = on_failed_start_ == OnFailedStart::roll_back;
  const auto gate = std::make_shared<StartGate>(rolls_back ? StartGate::Opens::at_failure
                                                           : StartGate::Opens::when_all_settled);
  Failures failures;
  std::vector<KeptRun> runs;
  try {
    make_runs(services, gate, runs, failures);
    if (rolls_back && !failures.empty()) raise(std::move(failures));
    for (const KeptRun& each : runs) each.run->launch(*each.server, site);
    const Waited waited = gate->wait(deadline, stop, site);
    if (waited == Waited::interrupted) check_exit();
    using Kind = ServiceError::Kind;
    const Kind unready = stop.stop_requested() ? Kind::cancelled : Kind::start_timeout;
    settle(runs, *gate, waited, unready, failures);
  } catch (...) {  // a deadlock, an exit signal for who waits, or out of memory
    for (const KeptRun& each : runs) ask(each);
    throw;
  }
  if (failures.empty()) return;
  if (rolls_back) {
    const bool may_wait = !stop.stop_requested();
    roll_back(runs, may_wait ? deadline : Deadline{Deadline::Clock::time_point{}}, site);
  }
  raise(std::move(failures));
}

/// Makes the servers, which have nothing to do yet, and keeps the runs that may begin; `kept` has
/// those also if it throws.
inline void Runner::make_runs(const ServiceList& services, const std::shared_ptr<StartGate>& gate,
                              std::vector<KeptRun>& kept, Failures& failures) {
  const std::string where = "start at " + to_string(services.site());
  std::vector<KeptRun> runs;
  for (const Service& service : services.services()) {
    if (auto refusal = table_->refusal(service, where)) {
      failures.push_back(std::move(*refusal));
      continue;
    }
    KeptRun one;
    one.run = std::make_shared<ServiceRun>(service, table_, gate);
    one.server = std::make_shared<GenServer<ServiceTask>>(service.options(), one.run);
    one.run->begin(*one.server);
    gate->add(*one.server);
    runs.push_back(std::move(one));
  }
  if (on_failed_start_ == OnFailedStart::roll_back && !failures.empty()) return;
  const std::vector<KeptRun> made = runs;
  Failures refused = table_->add(runs, on_failed_start_, where);
  kept.swap(runs);
  for (const KeptRun& each : made) {
    const auto is_it = [&](const KeptRun& other) { return other.run == each.run; };
    if (std::none_of(kept.begin(), kept.end(), is_it)) gate->settle(*each.server, {});
  }
  for (ServiceFailure& each : refused) failures.push_back(std::move(each));
}

/// Adds what has failed, and, as `unready`, what is still starting though nobody waits any more.
inline void Runner::settle(const std::vector<KeptRun>& runs, StartGate& gate, Waited waited,
                           ServiceError::Kind unready, Failures& failures) {
  for (const ServiceFailure& each : gate.close()) failures.push_back(own_failure(each));
  if (waited == Waited::done) return;
  for (const KeptRun& each : runs) {
    if (gate.is_pending(*each.server)) {
      failures.push_back(failure_of(unready, each.run->service().name()));
    }
  }
}

inline void Runner::roll_back(const std::vector<KeptRun>& runs, Deadline deadline,
                              const CallSite& site) {
  for (const KeptRun& each : runs) ask(each);
  for (const KeptRun& each : runs) {
    try {
      await_end(each, deadline, ServerCore::Waiter::leaves, site);
    } catch (const Deadlock&) {  // reported; it ends when the circle is gone
    }
  }
}

inline void Runner::check_not_forked(const CallSite& site) {
  if (!is_forked_child()) [[likely]] return;
  throw Forked{"a runner was used at " + to_string(site) +
               " in a child made by fork(); its services are not here"};
}

inline void Runner::check_not_self(const std::vector<KeptRun>& runs, const CallSite& site) {
  for (const KeptRun& each : runs) {
    const Callee& server = each.server->callee();
    if (server.is_self() && !each.run->has_ended()) {
      server.raise_self_wait("a service cannot wait for its own end; request_halt() does not wait",
                             site);
    }
  }
}

inline void Runner::halt(const std::vector<KeptRun>& runs, Deadline deadline,
                         ServerCore::Waiter waiter, const CallSite& site) {
  check_not_self(runs, site);
  std::vector<bool> was_running;
  for (const KeptRun& each : runs) was_running.push_back(each.run->request_halt());
  for (const KeptRun& each : runs) each.run->tell_changes();
  Failures failures;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const ServiceRun& run = *runs[i].run;
    if (!await_end(runs[i], deadline, waiter, site)) {
      deliver(run.report_hanging());
      failures.push_back(failure_of(ServiceError::Kind::halt_timeout, run.service().name(),
                                    "halt at " + to_string(site)));
    } else if (auto failure = was_running[i] ? run.failure() : std::nullopt) {
      failures.push_back(std::move(*failure));
    }
  }
  raise(std::move(failures));
}

/// Returns false at the deadline.
inline bool Runner::await_end(const KeptRun& kept, Deadline deadline, ServerCore::Waiter waiter,
                              const CallSite& site) {
  const bool is_in_circle = Running::now() != nullptr || Telling::of_end();
  if (is_in_circle && kept.run->has_ended()) return true;  // its listeners may wait for this thread
  return kept.server->shared_core()->stop(ExitReason::normal(), deadline, site, waiter);
}

inline void Runner::shut_down(Deadline deadline, ServerCore::Waiter waiter, const CallSite& site) {
  check_not_forked(site);
  check_not_self(table_->all(), site);
  table_->change(RunnerState::shut_down);
  halt(table_->all(), deadline, waiter, site);
}

}  // namespace genserver::v0
