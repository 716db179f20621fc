// SPDX-License-Identifier: BSL-1.0
// A function that runs for long, and can be started and halted.
#pragma once

#include <genserver/core/any_ref.hpp>
#include <genserver/otp/service_error.hpp>
#include <genserver/sync/one_shot.hpp>
#include <genserver/sync/platform/stop_token.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

class Runner;
class ServiceContext;
class ServiceRun;

/// How far one run of a service is.
///
///   halted ──▶ starting ──▶ started ──▶ halting ──▶ ended ──▶ halted
///                  └──────────┼───────────▲           ▲
///                             └───────────────────────┘
///
/// It is started when it has called ready(), and ended when it has returned, whether it was asked
/// to or not; while it is ended, those who want to know are told.
enum class ServiceState { halted, starting, started, halting, ended };

/// Returns the state as a word.
constexpr const char* to_string(ServiceState state) noexcept {
  constexpr const char* words[] = {"halted", "starting", "started", "halting", "ended"};
  return words[static_cast<std::size_t>(state)];
}

/// Whether a service has called ready().
enum class ServiceStage {
  ready,  ///< Not yet: it is getting ready.
  run     ///< Yes: it runs.
};

struct ServiceEnd;
struct ServiceFault;
struct ServiceChange;

/// Those who want to know what a service does. They run under no lock, and may use the runner.
///
/// on_end comes exactly once per run, on the thread of the service, after it has returned and
/// before halt() does; of a run that was killed, on the thread that killed it. What it throws
/// becomes the reason of the run's end.
/// on_state comes once per change, in their order and one at a time for each run, on a thread that
/// made one, the service's own or any; so on_end may be first. on_error comes where the service
/// calls ServiceContext::on_error. What these two throw is reported, and the service goes on.
///
/// Lifetime: none of them runs when the Runner's destructor has returned, but in a thread that was
///           killed, and on_end where the Runner went in one of its own services or listeners.
/// Threads:  several services may tell at a time.
struct ServiceListeners {
  std::function<void(const ServiceEnd&)> on_end{};
  std::function<void(const ServiceFault&)> on_error{};
  std::function<void(const ServiceChange&)> on_state{};
};

/// Names a service: what it is called, what it does, and who wants to know.
///
///   Service ticker{"ticker", [](ServiceContext& context) {
///     context.ready();
///     while (!context.sleep_for(1s)) tick();
///   }};
///
/// The function has to call ready() when it is, and to return soon after it is asked to halt, but
/// not before. What it throws is the error with which the service ends.
///
/// A value: copies are the same service, and equal. Its thread is a server with the same name, so
/// it is in snapshots, and what it waits for is in the wait graph.
///
/// Threads: any. A Runner runs it once at a time; of several runners each may run it.
class Service {
 public:
  using Run = std::function<void(ServiceContext&)>;

  /// Throws: InvalidArgument if there is nothing to run.
  Service(std::string name, Run run, ServiceListeners listeners = {})
      : Service{Options{.name = std::move(name)}, std::move(run), std::move(listeners)} {}
  /// The same with options for the server that it is; their stuck_after counts as 0.
  Service(Options options, Run run, ServiceListeners listeners = {});
  /// Runs `object->run(context)`.
  template <class T>
    requires requires(T& object, ServiceContext& context) { object.run(context); }
  Service(std::string name, std::shared_ptr<T> object, ServiceListeners listeners = {})
      : Service{std::move(name),
                object ? Run{[object](ServiceContext& context) { object->run(context); }} : Run{},
                std::move(listeners)} {}

  /// Returns its name, which errors and reports show.
  [[nodiscard]] const std::string& name() const noexcept { return description_->options.name; }
  /// Returns the options of the server that it is while it runs.
  [[nodiscard]] const Options& options() const noexcept { return description_->options; }
  /// Returns who wants to know.
  [[nodiscard]] const ServiceListeners& listeners() const noexcept {
    return description_->listeners;
  }
  void run(ServiceContext& context) const { description_->run(context); }

  friend bool operator==(const Service& a, const Service& b) noexcept {
    return a.description_ == b.description_;
  }
  [[nodiscard]] std::size_t hash() const noexcept {
    return std::hash<const void*>{}(description_.get());
  }

 private:
  struct Description {
    Options options;
    Run run;
    ServiceListeners listeners;
  };

  std::shared_ptr<const Description> description_;
};

/// A run has ended.
struct ServiceEnd {
  Service service;
  ServiceStage stage = ServiceStage::ready;
  /// Why: not abnormal if it was asked to halt, and did. Its cause() is the error, also one that it
  /// threw as it halted; a run that was ended from outside has none.
  ExitReason reason = ExitReason::normal();
};

/// A service goes on after an error.
struct ServiceFault {
  Service service;
  ServiceStage stage = ServiceStage::ready;
  ExitReason reason = ExitReason::normal();  ///< Its cause() is the error.
};

/// The state of a service has changed.
struct ServiceChange {
  Service service;
  ServiceState from = ServiceState::halted;
  ServiceState to = ServiceState::halted;
};

/// What a run can do and ask; for ServiceContext.
class ServiceControl {
 public:
  virtual ~ServiceControl() = default;
  virtual bool ready() = 0;
  virtual void on_error(std::exception_ptr error) = 0;
  [[nodiscard]] virtual const StopToken& stop_token() const noexcept = 0;
  [[nodiscard]] virtual const Service& service() const noexcept = 0;
  [[nodiscard]] virtual const AnyRef& server() const noexcept = 0;
  [[nodiscard]] virtual Runner& runner() const = 0;
};

/// Who keeps runs; told when one is over.
///
/// Threads: any.
class RunKeeper {
 public:
  virtual ~RunKeeper() = default;
  /// The run's server has ended, and so has the run, whose listeners have been told.
  virtual void forget(const ServiceRun& run) noexcept = 0;
  /// Returns whom to tell besides the service's own listeners; it does not change.
  [[nodiscard]] virtual const ServiceListeners& listeners() const noexcept = 0;
  /// Whose thread tells listeners: the run's, whose end the keeper waits for anyhow, or another.
  enum class Teller { run, other };
  /// A thread tells listeners, until end_telling(). Returns false if it is too late: then they may
  /// be gone, and it ends nothing.
  virtual bool begin_telling(Teller teller) noexcept = 0;
  virtual void end_telling(Teller teller) noexcept = 0;
  /// Throws: InvalidArgument if there is none any more.
  [[nodiscard]] virtual Runner& runner() const = 0;
};

/// In its scope this thread tells listeners.
class Telling {
 public:
  explicit Telling(bool& what) noexcept : is_so_{what}, outer_{std::exchange(what, true)} {}
  ~Telling() { is_so_ = outer_; }
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;

  /// Whether this thread tells of an end just now.
  [[gnu::visibility("default")]] static bool& of_end() noexcept {
    static constinit thread_local bool is_so = false;
    return is_so;
  }
  /// Whether it tells of anything.
  [[gnu::visibility("default")]] static bool& of_any() noexcept {
    static constinit thread_local bool is_so = false;
    return is_so;
  }

 private:
  bool& is_so_;
  const bool outer_;
};

/// In its scope the keeper, if there is one, knows that this thread tells listeners of a run.
class KnownTelling {
 public:
  KnownTelling(RunKeeper* keeper, const Callee& run) noexcept
      : keeper_{keeper},
        teller_{run.is_self() ? RunKeeper::Teller::run : RunKeeper::Teller::other},
        is_in_time_{keeper == nullptr || keeper->begin_telling(teller_)} {}
  ~KnownTelling() {
    if (is_in_time_ && keeper_ != nullptr) keeper_->end_telling(teller_);
  }
  KnownTelling(const KnownTelling&) = delete;
  KnownTelling& operator=(const KnownTelling&) = delete;

  [[nodiscard]] bool is_in_time() const noexcept { return is_in_time_; }

 private:
  RunKeeper* const keeper_;
  const RunKeeper::Teller teller_;
  const bool is_in_time_;
};

/// What the function of a service gets: how it tells that it is ready, and learns that it has to
/// halt.
///
/// A value: threads that the service starts may have copies, also when it has returned.
///
/// Threads: any.
class ServiceContext {
 public:
  explicit ServiceContext(std::shared_ptr<ServiceControl> run) noexcept : run_{std::move(run)} {}

  /// Says that the service is ready, which lets Runner::start return. Again: nothing. Returns
  /// false if it has been asked to halt.
  bool ready() { return run_->ready(); }

  /// Returns whether it has been asked to halt, has got an exit signal, or has ended.
  [[nodiscard]] bool should_halt() const noexcept { return run_->stop_token().stop_requested(); }
  /// The same for what waits, as std::condition_variable_any.
  [[nodiscard]] StopToken stop_token() const noexcept { return run_->stop_token(); }

  /// Sleeps. Returns should_halt(). Blocks: for `length`, but no longer than until it has to halt.
  bool sleep_for(Timespan length) const;
  /// Sleeps until it has to halt. Blocks: until then.
  void await_halt() const { sleep_until(Deadline::never()); }

  /// Tells the listeners of an error with which the service goes on: the one that is handled now,
  /// if none is given.
  void on_error(std::exception_ptr error = std::current_exception()) {
    run_->on_error(std::move(error));
  }
  /// The same. In a catch block it is what was thrown, whatever the type of its parameter.
  template <class Exception>
    requires std::is_base_of_v<std::exception, Exception>
  void on_error(const Exception& error) {
    on_error(whole(error));
  }

  [[nodiscard]] const Service& service() const noexcept { return run_->service(); }
  /// Returns the server that this run is; for monitors and links.
  [[nodiscard]] const AnyRef& server() const noexcept { return run_->server(); }
  /// Returns who runs it; in the service's own thread it is still there, unless the service was
  /// killed.
  ///
  /// Throws: InvalidArgument if it is a server of its own (ServiceServer), or the Runner is gone.
  [[nodiscard]] Runner& runner() const { return run_->runner(); }

 private:
  bool sleep_until(Deadline deadline) const;
  template <class Exception>
  static std::exception_ptr whole(const Exception& error);

  std::shared_ptr<ServiceControl> run_;
};

inline Service::Service(Options options, Run run, ServiceListeners listeners) {
  if (options.name.empty()) options.name = "service";
  if (!run) throw InvalidArgument{"service \"" + options.name + "\" has no function to run"};
  options.stuck_after = {};  // a long run is what a service is for
  validate(options);
  description_ = std::make_shared<const Description>(
      Description{std::move(options), std::move(run), std::move(listeners)});
}

/// Returns the exception that is handled now, if `error` is it or its base, which would be cut off
/// by a copy; else a copy.
template <class Exception>
std::exception_ptr ServiceContext::whole(const Exception& error) {
  std::exception_ptr current = std::current_exception();
  if (current != nullptr) {
    try {
      std::rethrow_exception(current);
    } catch (const Exception& caught) {
      if (std::addressof(caught) == std::addressof(error)) return current;
    } catch (...) {  // another one
    }
  }
  return std::make_exception_ptr(error);
}

inline bool ServiceContext::sleep_for(Timespan length) const {
  return sleep_until(Deadline::after(length));
}

inline bool ServiceContext::sleep_until(Deadline deadline) const {
  OneShot halts;
  const StopToken token = run_->stop_token();
  const StopCallback wake{token, [&halts] { halts.set(); }};
  halts.sleep(deadline);
  return token.stop_requested();
}

}  // namespace genserver::v0

template <>
struct std::hash<genserver::Service> {
  std::size_t operator()(const genserver::Service& service) const noexcept {
    return service.hash();
  }
};
