// SPDX-License-Identifier: BSL-1.0
// One run of a service, from its start to its end.
#pragma once

#include <genserver/core/gen_server.hpp>
#include <genserver/otp/service.hpp>
#include <genserver/otp/start_gate.hpp>

#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace genserver::inline v0 {

class ServiceRun;

/// The State of the server that a run is.
struct ServiceTask {
  std::shared_ptr<ServiceRun> run{};
};

/// Runs a service, once, in a handler of a server of its own that takes as long as that; keeps
/// account of its state, and tells the listeners.
///
/// To halt it is to ask the server to stop, whoever does that: the handler's stop token tells of
/// it, and the server ends behind the handler. An exit signal halts it, too. A server that ends
/// before the handler has begun, or is killed in it, ends the run as well.
///
/// Threads: any, but execute() for the server's.
class ServiceRun final : public ServiceControl,
                         public ExitWatcher,
                         public std::enable_shared_from_this<ServiceRun> {
 public:
  /// `keeper` may be null.
  ServiceRun(Service service, std::shared_ptr<RunKeeper> keeper, std::shared_ptr<StartGate> gate)
      : service_{std::move(service)}, keeper_{std::move(keeper)}, gate_{std::move(gate)} {}

  /// It counts as starting, on this server; before anybody else knows of the run.
  void begin(const AnyRef& server);
  /// It is kept: from now on its end is told, whether it is launched or not.
  bool admit() noexcept;
  /// Lets the server execute() it. Once.
  void launch(const ServerRef<ServiceTask>& server, const CallSite& site);
  /// Runs the service, and ends the server with what came of it.
  ///
  /// Throws: Exit.
  void execute();

  /// It becomes halting; tell_changes() is due. Returns false if it has ended. Does not wait.
  bool request_halt();
  /// Tells the listeners of all changes, in order, unless another thread is about to.
  void tell_changes();

  [[nodiscard]] ServiceState state() const;
  [[nodiscard]] bool has_ended() const { return state() == ServiceState::ended; }
  /// Returns with what error a run has ended that was ready.
  [[nodiscard]] std::optional<ServiceFailure> failure() const;
  /// Returns a report that it hangs, with its stack. Blocks: up to a second.
  [[nodiscard]] Report report_hanging() const;

  inline bool ready() override;
  inline void on_error(std::exception_ptr error) override;
  [[nodiscard]] const StopToken& stop_token() const noexcept override { return stop_token_; }
  [[nodiscard]] const Service& service() const noexcept override { return service_; }
  [[nodiscard]] const AnyRef& server() const noexcept override { return server_; }
  [[nodiscard]] inline Runner& runner() const override;

  inline void on_exit(const ExitedServer& server) noexcept override;

 private:
  using Change = std::pair<ServiceState, ServiceState>;  // from, to
  struct Ended {
    ServiceStage stage = ServiceStage::ready;
    ExitReason reason = ExitReason::normal();
    bool is_halted = false;       // it has returned, as it was asked to
    std::exception_ptr thrown{};  // by on_end
  };

  template <class Event>
  using Listener = std::function<void(const Event&)> ServiceListeners::*;
  template <class Event>
  std::exception_ptr tell(Listener<Event> listener, const Event& event) const;
  template <class Event>
  void tell_if_there(Listener<Event> listener, const Event& event) const;
  void report_listener(std::exception_ptr error) const noexcept;
  void change(ServiceState to) noexcept;
  void settle(const std::shared_ptr<StartGate>& gate, ServiceStage stage,
              const ExitReason& reason) const noexcept;
  bool become_halting();
  static void on_stop(const std::weak_ptr<ServiceRun>& run) noexcept;
  Ended end(std::optional<ExitReason> why);
  [[nodiscard]] ExitReason of_server(const Ended& ended) const noexcept;
  [[nodiscard]] ExitReason unasked() const noexcept;
  [[nodiscard]] Interrupts& interrupts() const { return server_.callee().interrupts(); }

  const Service service_;
  const std::shared_ptr<RunKeeper> keeper_;
  AnyRef server_{};         // does not change after begin()
  StopToken stop_token_{};  // as server_

  mutable std::mutex mutex_{};
  // guarded by mutex_:
  ServiceState state_ = ServiceState::halted;
  ServiceStage stage_ = ServiceStage::ready;
  ExitReason reason_ = ExitReason::normal();  // once it has ended, if it was ready
  std::shared_ptr<StartGate> gate_;           // until it is ready or has ended
  Deadline::Clock::time_point started_at_{};
  Deadline::Clock::time_point halting_since_{};
  std::deque<Change> changes_{};  // that nobody has been told of
  bool is_telling_ = false;       // a thread tells of changes
  bool is_admitted_ = false;
  bool was_over_ = false;  // its server ended before that

  std::optional<StopCallback> on_stop_{};  // who launches it
};

inline void ServiceRun::begin(const AnyRef& server) {
  server_ = server;
  interrupts().heed_stops();
  stop_token_ = interrupts().stop_token();
  // Who halts it waits for its end, which has to be told before, also if it is never launched.
  const bool is_watched = server_.shared_core()->end().watchers().add(shared_from_this());
  const std::scoped_lock lock{mutex_};
  if (!is_watched) was_over_ = true;
  started_at_ = Deadline::Clock::now();
  change(ServiceState::starting);
}

/// Returns false if the server had ended before, so that its end was not told.
inline bool ServiceRun::admit() noexcept {
  const std::scoped_lock lock{mutex_};
  is_admitted_ = true;
  return !was_over_;
}

inline void ServiceRun::launch(const ServerRef<ServiceTask>& server, const CallSite& site) {
  const bool is_there = admit();
  tell_changes();
  if (!is_there) {
    const ServerEnd& end = server_.shared_core()->end();
    return on_exit({server_.pid(), server_.name(), end.refusal().reason});
  }
  on_stop_.emplace(stop_token_, [run = weak_from_this()] { on_stop(run); });
  server.cast([](ServiceTask& task) { task.run->execute(); }, site);
}

inline void ServiceRun::execute() {
  ServiceContext context{shared_from_this()};
  std::exception_ptr error;
  std::optional<ExitReason> exits;
  try {
    error = capture([&] { service_.run(context); });
  } catch (const Exit& exit) {
    exits = exit.reason;
  }
  interrupts().mask();  // it is ending: the listeners may wait for others
  if (error) {
    exits = ExitReason::exception(std::move(error));
  } else if (!exits) {
    exits = interrupts().reason();
  }
  Ended ended = end(std::move(exits));
  if (ended.thrown) ended.reason = reason_of(ended.thrown);
  if (ended.is_halted && !ended.reason.is_abnormal()) return;  // the stop comes next
  if (ended.stage == ServiceStage::ready && !ended.thrown) {
    interrupts().raise(ended.reason);  // no crash: who has started it is told
  }
  throw Exit{std::move(ended.reason)};
}

/// The run is over, for everybody, unless it was before. It has returned if there is no reason.
inline ServiceRun::Ended ServiceRun::end(std::optional<ExitReason> why) {
  std::shared_ptr<StartGate> gate;
  Ended ended;
  {
    const std::scoped_lock lock{mutex_};
    ended.stage = stage_;
    if (state_ == ServiceState::ended) {
      ended.reason = reason_;
      return ended;
    }
    // One who asks it to halt does so under this lock, before the token knows; a server is also
    // asked to stop by others.
    ended.is_halted = !why && (state_ == ServiceState::halting || stop_token_.stop_requested());
    if (!why && !ended.is_halted) why = unasked();
    if (why) ended.reason = *why;
    if (stage_ == ServiceStage::run) reason_ = ended.reason;
    change(ServiceState::ended);
    gate = std::exchange(gate_, nullptr);
  }
  interrupts().ask_to_stop();  // for threads that the service has started
  tell_changes();
  const ExitReason told = std::exchange(ended.reason, of_server(ended));
  settle(gate, ended.stage, told);
  const Telling telling{Telling::of_end()};
  ended.thrown = tell<ServiceEnd>(&ServiceListeners::on_end, {service_, ended.stage, told});
  return ended;
}

/// Returns why the server ends. The exception of a run that was never ready is for the starter,
/// who may outlive the server or not: it keeps none of it.
inline ExitReason ServiceRun::of_server(const Ended& ended) const noexcept {
  if (ended.stage == ServiceStage::run || !ended.reason.cause()) return ended.reason;
  return failure_or_error([&] {
    const std::string text = describe(ended.reason.cause());
    return failure_of(ServiceError::Kind::failed, service_.name(), text);
  }).reason;
}

/// Returns the reason of a run that has returned though nobody has asked it to. Under the mutex.
inline ExitReason ServiceRun::unasked() const noexcept {
  using Kind = ServiceError::Kind;
  const Kind kind = stage_ == ServiceStage::ready ? Kind::not_ready : Kind::service_ended;
  return failure_or_error([&] { return failure_of(kind, service_.name()); }).reason;
}

inline void ServiceRun::on_exit(const ExitedServer& server) noexcept {
  {
    const std::scoped_lock lock{mutex_};
    was_over_ = was_over_ || !is_admitted_;
    if (!is_admitted_) return;  // nobody knows of it, or launch() comes back to it
  }
  report_listener(end(server.reason).thrown);  // if it was killed, or has never begun
  if (keeper_ != nullptr) keeper_->forget(*this);
}

/// Tells the starter that it is ready, or why it never will be.
inline void ServiceRun::settle(const std::shared_ptr<StartGate>& gate, ServiceStage stage,
                               const ExitReason& reason) const noexcept {
  if (gate == nullptr) return;
  std::optional<ServiceFailure> failure;
  if (stage == ServiceStage::ready) {
    using Kind = ServiceError::Kind;
    const Kind kind = reason.is_abnormal() ? Kind::exited : Kind::halted;
    failure = failure_or_error([&] {
      return reason.cause() ? ServiceFailure{service_.name(), reason}
                            : failure_of(kind, service_.name(), reason);
    });
  }
  gate->settle(server_, std::move(failure));
}

inline bool ServiceRun::ready() {
  std::shared_ptr<StartGate> gate;
  bool is_started = false;
  {
    const std::scoped_lock lock{mutex_};
    if (stage_ == ServiceStage::run || state_ == ServiceState::ended) {
      return !stop_token_.stop_requested();
    }
    is_started = state_ == ServiceState::starting;
    if (is_started) change(ServiceState::started);
    stage_ = ServiceStage::run;
    gate = std::exchange(gate_, nullptr);
  }
  tell_changes();
  settle(gate, is_started ? ServiceStage::run : ServiceStage::ready, ExitReason::normal());
  return !stop_token_.stop_requested();
}

inline bool ServiceRun::request_halt() {
  if (!become_halting()) return false;
  server_.request_stop();
  return true;
}

/// Returns false if it has ended. tell_changes() is due.
inline bool ServiceRun::become_halting() {
  const std::scoped_lock lock{mutex_};
  if (state_ == ServiceState::ended) return false;
  if (state_ == ServiceState::halting) return true;
  change(ServiceState::halting);
  halting_since_ = Deadline::Clock::now();
  return true;
}

/// Runs where the server is asked to stop, or gets an exit signal.
inline void ServiceRun::on_stop(const std::weak_ptr<ServiceRun>& run) noexcept {
  const auto held = run.lock();  // `run` may go with it
  if (held != nullptr && held->become_halting()) held->tell_changes();
}

inline ServiceState ServiceRun::state() const {
  const std::scoped_lock lock{mutex_};
  return state_;
}

inline std::optional<ServiceFailure> ServiceRun::failure() const {
  const std::scoped_lock lock{mutex_};
  if (state_ != ServiceState::ended || stage_ != ServiceStage::run) return std::nullopt;
  if (!reason_.is_abnormal()) return std::nullopt;
  using Kind = ServiceError::Kind;
  return failure_of(reason_.cause() ? Kind::failed : Kind::exited, service_.name(), reason_);
}

inline Runner& ServiceRun::runner() const {
  if (keeper_ != nullptr) return keeper_->runner();
  throw InvalidArgument{"service \"" + service_.name() + "\" has no runner: it is a server alone"};
}

/// Under the mutex. If there is no memory for it, the listeners are not told.
inline void ServiceRun::change(ServiceState to) noexcept {
  const bool is_wanted =
      service_.listeners().on_state || (keeper_ != nullptr && keeper_->listeners().on_state);
  const ServiceState from = std::exchange(state_, to);
  try {
    if (is_wanted) changes_.emplace_back(from, to);
  } catch (...) {  // out of memory
  }
}

inline void ServiceRun::tell_changes() {
  std::unique_lock lock{mutex_};
  if (std::exchange(is_telling_, true)) return;
  while (!changes_.empty()) {
    const auto [from, to] = changes_.front();
    changes_.pop_front();
    lock.unlock();
    tell_if_there<ServiceChange>(&ServiceListeners::on_state, {service_, from, to});
    lock.lock();
  }
  is_telling_ = false;
}

inline void ServiceRun::on_error(std::exception_ptr error) {
  ServiceStage stage = ServiceStage::ready;
  {
    const std::scoped_lock lock{mutex_};
    stage = stage_;
  }
  tell_if_there<ServiceFault>(&ServiceListeners::on_error,
                              {service_, stage, ExitReason::exception(std::move(error))});
}

/// Tells of what may come on any thread, unless the runner is gone, and reports what they throw.
template <class Event>
void ServiceRun::tell_if_there(Listener<Event> listener, const Event& event) const {
  const KnownTelling telling{keeper_.get(), server_.callee()};
  if (telling.is_in_time()) report_listener(tell(listener, event));
}

/// Tells the runner's and the service's own listeners. Returns what one of them threw.
template <class Event>
std::exception_ptr ServiceRun::tell(Listener<Event> listener, const Event& event) const {
  const Telling any{Telling::of_any()};
  std::exception_ptr error;
  const auto call = [&](const ServiceListeners& listeners) {
    try {
      if (listeners.*listener) (listeners.*listener)(event);
    } catch (...) {
      std::exception_ptr thrown = std::current_exception();
      if (thrown == nullptr) throw;  // the thread ends
      report_listener(std::exchange(error, std::move(thrown)));
    }
  };
  if (keeper_ != nullptr) call(keeper_->listeners());
  call(service_.listeners());
  return error;
}

inline void ServiceRun::report_listener(std::exception_ptr error) const noexcept {
  if (!error) return;
  try {
    Report report;
    report.kind = Report::Kind::crash;
    report.server = server_.name();
    report.pid = server_.pid();
    report.reason = ExitReason::exception(std::move(error));
    report.outcome = "a listener of the service threw this: it was left out, and all goes on";
    deliver(report);
  } catch (...) {  // out of memory
  }
}

inline Report ServiceRun::report_hanging() const {
  ServerRecord& record = server_.callee().record();
  Report report;
  report.kind = Report::Kind::stuck;
  report.server = server_.name();
  report.pid = server_.pid();
  report.site = record.message_site();
  const auto now = Deadline::Clock::now();
  {
    const std::scoped_lock lock{mutex_};
    report.age = now - started_at_;
    report.outcome =
        state_ == ServiceState::ended
            ? std::string{"it has ended, but a listener of its end has not returned"}
            : "it was asked to halt " + to_string(now - halting_since_) +
                  " ago, has not ended, and goes on halting";
  }
  if (auto edge = Waiting::current(record)) report.cycle.push_back(std::move(*edge));
  report.stacks.push_back({report.server, report.pid, record.runner_stack()});
  return report;
}

}  // namespace genserver::v0
