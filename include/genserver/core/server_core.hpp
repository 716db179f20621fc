// SPDX-License-Identifier: BSL-1.0
// The life of one server, whatever its State.
// A little longer than other headers, since the order of a server's end is read in one place.
#pragma once

#include <genserver/core/guarded_calls.hpp>
#include <genserver/core/inbox.hpp>
#include <genserver/core/request.hpp>
#include <genserver/core/running.hpp>
#include <genserver/core/server_end.hpp>
#include <genserver/core/watchdog.hpp>
#include <genserver/sync/shared_thread.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <tuple>
#include <utility>

namespace genserver {

/// Runs messages on a thread of its own, from the making of the State to its end.
///
///   starting ──▶ running ──▶ stopping ──▶ ended
///       │           └── exception ──▲
///       └── the State's constructor throws ──▶ ended
///
/// The end, in this order, so that the State's resources are free before anybody learns of it:
/// the mailbox is closed; State::terminate; State's destructor; what is still queued is completed;
/// a crash is reported; the end is published and who waits for it woken; the thread ends.
///
/// Threads: any, except for what is the runner's: who has the right to run the mailbox.
class ServerCore : public Inbox, public std::enable_shared_from_this<ServerCore> {
 public:
  using Inbox::Inbox;

  /// Starts the thread, which calls `make(context)` to make the State, and waits for that.
  ///
  /// Blocks: until it has returned. Throws: StartFailed; what make() throws.
  void start(void (*make)(void* context), void* context);

  /// Asks it to end with `reason` when what was sent before has been handled. Does not wait.
  void request_stop(const ExitReason& reason) noexcept;
  /// Asks it to end, and waits for the end of its thread. Returns false at the deadline.
  ///
  /// Throws: SelfWait, Deadlock; then it was not asked.
  bool stop(const ExitReason& reason, Deadline deadline, const CallSite& site);
  /// The owner goes: stops it, and waits, unless that is the server's own handler, or would be a
  /// deadlock. Returns whether it has ended.
  bool leave() noexcept;

  /// Sends a message that takes a place, with the waiting that Options::on_full may ask for, and
  /// refuses it unless it was accepted. `wait` is what the sender waits for next: it is published
  /// before each attempt, and taken back while there is no room.
  ///
  /// Blocks: as make_room(). Throws: Deadlock; SelfWait, from `wait`.
  Admission submit(Message& message, Deadline deadline, RequestWait* wait = nullptr);

  [[nodiscard]] ServerEnd& end() noexcept { return end_; }
  [[nodiscard]] RequestBook& book() noexcept { return book_; }

  /// Handles no further message until resume(), or until it is asked to end. The runner's.
  void suspend_here() noexcept { record().set_suspended(true); }
  /// Handles messages again.
  void resume() noexcept {
    record().set_suspended(false);
    parker().unpark();
  }

  /// Runs `message` on this thread, as the server, if the server is idle. Returns false if not;
  /// then the message is still the caller's. Else it is completed, now or by the server's end.
  bool try_run_here(Message& message);

  // --- the runner's

  /// Ends the server after this message.
  void end_with(ExitReason reason) noexcept { ends_with_ = std::move(reason); }
  /// Queues a message to be run before all that is in the mailbox.
  void post_first(Message& message) noexcept { continuations_.push_back(message); }
  /// Queues a call until its guard holds.
  void post_guarded(GuardedMessage& message) noexcept {
    guarded_.push_back(message);
    record().meter().uncount_handled();
  }
  /// Throws: SelfWait if there is no State yet, ServerGone if there is none any more.
  void check_state(const CallSite& site) const;
  virtual void* state() noexcept = 0;

  /// Names State's type: the address of something of which each type has its own.
  [[nodiscard]] virtual const void* state_type() const noexcept = 0;

 protected:
  virtual ~ServerCore() = default;

 private:
  /// What the starting thread and the new one share; in the frame of start().
  struct Start {
    std::shared_ptr<ServerCore> server{};
    void (*make)(void* context) = nullptr;
    void* context = nullptr;
    WaitToken waiter{};
    std::exception_ptr error{};
    OneShot done{};
  };

  struct StopMessage final : Message {
    explicit StopMessage(ServerCore& owner) noexcept : Message{CallSite{}}, server{owner} {}
    void run(void*) override { server.end_with(reason); }
    void refuse(const Refusal&) noexcept override {}  // it ends for another reason
    ServerCore& server;
    ExitReason reason = ExitReason::normal();
  };

  // These do their work also if the thread is unwound by pthread_exit or pthread_cancel.
  struct EndGuard {
    ServerCore& server;
    ~EndGuard() { server.finish(); }
  };
  struct LastGuard {
    ServerCore& server;
    ~LastGuard() { server.end_.do_last(); }
  };
  struct HandOverGuard {
    ServerCore& server;
    ~HandOverGuard() { server.hand_over(); }
  };
  struct TurnGuard {  // shows the watchdog what runs
    TurnGuard(ServerRecord& of, const CallSite& site, std::uint32_t sender = 0) noexcept
        : record{of} {
      record.begin_message(site, sender);
    }
    ~TurnGuard() { record.end_message(); }
    ServerRecord& record;
  };

  virtual void terminate_state(const ExitReason& reason) = 0;
  virtual void destroy_state() noexcept = 0;

  static void thread_main(void* start);
  void run(Start& start);
  bool make_state(Start& start);
  void fail_start(Start& start, std::exception_ptr error);
  Message* next();
  void wait_for_resume() noexcept;
  void wait_for_news();
  void hand_over() noexcept;
  bool retry(GuardedMessage& message);
  std::uint64_t trace_received(Message& message) noexcept;
  void trace_handled(const CallSite& site, std::uint32_t sender, std::uint64_t message,
                     bool has_failed) noexcept;
  template <class Function>
  void attempt(Message& message, Function&& function);
  void finish() noexcept;
  void terminate() noexcept;
  void refuse_everything() noexcept;
  void set_reason(const ExitReason& reason) noexcept;
  void report_end() noexcept;

  RequestBook book_{};
  SpinGovernor idle_{};

  // The runner's:
  MessageList continuations_{};
  GuardedCalls guarded_{};           // whose guard did not hold
  Message* in_flight_ = nullptr;     // being run; refused if the server ends in it
  std::optional<ExitReason> ends_with_{};  // set: the server ends after this message
  CallSite end_site_{};              // where the message was sent that threw, and by whom
  std::uint32_t end_sender_ = 0;
  bool has_state_ = false;

  StopMessage stop_message_{*this};
  // Relaxed: it only chooses who sends the message, and ends a suspension, which is woken for it.
  std::atomic<bool> is_stop_sent_{false};

  ServerEnd end_{};

  SharedThread thread_{};
};

inline void ServerCore::start(void (*make)(void* context), void* context) {
  watch_for_fork();
  Start start;
  start.server = shared_from_this();
  start.make = make;
  start.context = context;
  CallerEdge edge{*this, WaitKind::start, CallSite{}};
  start.waiter = edge.token();
  try {
    Watchdog::instance().watch(options().stuck_after);
    thread_.start(&thread_main, &start, options().stack_size);
  } catch (const std::system_error&) {
    std::throw_with_nested(StartFailed{fmt::format(
        "server \"{}\" could not be started: the system refuses a thread", name())});
  }
  await(start.done, WaitKind::start, CallSite{}, Deadline::never());
  if (!start.error) return;
  thread_.join();
  std::rethrow_exception(std::move(start.error));
}

inline void ServerCore::request_stop(const ExitReason& reason) noexcept {
  if (is_stop_sent_.exchange(true, std::memory_order_relaxed)) return;  // see the member
  stop_message_.reason = reason;
  post(stop_message_);
  parker().unpark();  // it may be suspended, now or when it comes to that
}

inline bool ServerCore::stop(const ExitReason& reason, Deadline deadline, const CallSite& site) {
  check_not_forked(site);
  if (!end_.is_over()) {
    if (is_self()) raise_self_wait("a server cannot wait for its own end", site);
    CallerEdge edge{*this, WaitKind::stop, site};
    edge.check();
    request_stop(reason);
    if (!await(end_.done(), WaitKind::stop, site, deadline)) return false;
  }
  // A handler does not join: what the thread still does would be no edge of the wait graph.
  if (Running::now() == nullptr && deadline.is_never()) thread_.join();
  return true;
}

inline bool ServerCore::leave() noexcept {
  if (is_forked_child()) {  // its thread is not here, and would need this object
    static_cast<void>(new std::shared_ptr<ServerCore>{shared_from_this()});
    return true;
  }
  try {
    if (!is_self() && stop(ExitReason::normal(), Deadline::never(), CallSite{})) {
      if (Running::now() != nullptr) thread_.detach();  // a handler has not joined it
      return true;
    }
  } catch (const Deadlock&) {  // reported; it ends by itself when the circle is gone
  }
  request_stop(ExitReason::normal());
  thread_.detach();
  return false;
}

inline Admission ServerCore::submit(Message& message, Deadline deadline, RequestWait* wait) {
  const CallSite site = message.site();
  Refusal why{Refusal::Kind::mailbox_full, ExitReason::normal()};
  try {
    for (;;) {
      if (wait != nullptr) wait->begin();
      Admission admission = try_post(message);
      if (admission == Admission::accepted) return admission;
      if (wait != nullptr) wait->end();  // the user's code may run now, and wait for others
      if (admission == Admission::full) admission = make_room(deadline, site);
      if (admission == Admission::accepted) continue;
      if (admission == Admission::gone) why = end_.refusal();
      message.refuse(why);
      return admission;
    }
  } catch (...) {  // a deadlock
    message.refuse(why);
    throw;
  }
}

inline bool ServerCore::try_run_here(Message& message) {
  if (!mailbox().try_run_idle()) return false;
  mark_sender(message);
  record().set_runner(ThreadRecord::current());
  const HandOverGuard guard{*this};
  const RunningScope scope{*this};
  attempt(message, [&] { message.run(state()); });
  return true;
}

inline void ServerCore::hand_over() noexcept {
  if (in_flight_ != nullptr && !ends_with_) {  // unwound, and with it the message's frame
    in_flight_ = nullptr;
    ends_with_ = ExitReason::killed();
  }
  const bool needs_thread = ends_with_ || !continuations_.is_empty() || !guarded_.is_empty() ||
                            record().is_suspended();
  if (mailbox().hand_over(needs_thread)) parker().unpark();
}

inline void ServerCore::check_state(const CallSite& site) const {
  if (has_state_) [[likely]] return;
  if (is_closed()) raise(end_.refusal(), WaitKind::call, site);
  raise_self_wait("its State is still being made", site);
}

inline void ServerCore::thread_main(void* argument) {
  Start& start = *static_cast<Start*>(argument);
  const std::shared_ptr<ServerCore> server = start.server;  // start ends before the thread does
  server->run(start);
}

inline void ServerCore::run(Start& start) {
  thread_.begin();
  name_this_thread(name());
  record().set_runner(ThreadRecord::current());
  const RunningScope scope{*this};
  const LastGuard last{*this};
  if (make_state(start)) {
    const EndGuard end{*this};
    while (!ends_with_) {
      if (Message* const message = next()) {
        attempt(*message, [&] { message->run(state()); });
      }
      guarded_.retry([&](GuardedMessage& message) { return retry(message); });
    }
  }
}

/// Makes the State and lets start() return. Returns false if there is none; then all is over.
inline bool ServerCore::make_state(Start& start) {
  std::exception_ptr error;
  try {
    const TurnGuard turn{record(), CallSite{}};
    start.make(start.context);
    has_state_ = true;
    record().set_life(ServerRecord::Life::serving);
  } catch (ForcedUnwind&) {
    fail_start(start, std::make_exception_ptr(
                          StartFailed{"the thread of \"" + name() + "\" was ended as it started"}));
    throw;
  } catch (...) {
    error = std::current_exception();
  }
  if (error) {
    fail_start(start, std::move(error));
    return false;
  }
  start.waiter.end();  // before the answer, as every edge
  start.done.set();
  return true;
}

inline void ServerCore::fail_start(Start& start, std::exception_ptr error) {
  end_with(ExitReason::exception(error));
  finish();
  start.error = std::move(error);
  start.waiter.end();  // as above
  start.done.set();
}

/// Returns the next message, or null after a wait: then there may be other things to do.
inline Message* ServerCore::next() {
  if (record().is_suspended()) [[unlikely]] wait_for_resume();
  if (Message* const message = continuations_.pop_front()) return message;
  timers().push_due(mailbox());
  if (Message* const message = mailbox().pop()) return message;
  wait_for_news();
  return nullptr;
}

/// Keeps the right to run meanwhile, so that nobody else handles a call.
inline void ServerCore::wait_for_resume() noexcept {
  record().set_runner(ThreadRecord::current());
  // Ends by resume(), also that in request_stop().
  // The loads are relaxed: what resume() and request_stop() set comes with the unpark().
  while (record().is_suspended() && !is_stop_sent_.load(std::memory_order_relaxed)) {
    parker().park(Deadline::never());
  }
  record().set_suspended(false);
}

inline void ServerCore::wait_for_news() {
  // It keeps the right to run while it spins, so that senders need not wake it; unless callers
  // want that right.
  if (options().run_calls == RunCalls::on_server_thread &&
      idle_.spin_until([&] { return mailbox().has_news(); })) {
    return;
  }
  if (!mailbox().rest()) return;
  do {  // ends by a push that finds it idle, by hand_over(), or by a timer
    parker().park(timers().next_due());
    timers().push_due(mailbox());
  } while (!mailbox().try_run());
  record().set_runner(ThreadRecord::current());
  record().meter().measure_next();  // who comes after a pause is not one of a crowd
}

/// Runs one message; what it throws ends the server.
template <class Function>
void ServerCore::attempt(Message& message, Function&& function) {
  const CallSite site = message.site();
  const std::uint32_t sender = message.sender();
  ServerMeter& meter = record().meter();
  const ServerMeter::Measured measured = meter.begin(message);
  const std::uint64_t traced = record().is_traced() ? trace_received(message) : 0;
  in_flight_ = &message;
  std::exception_ptr error;
  try {
    const TurnGuard turn{record(), site, sender};
    error = capture(
        [&] {
          function();
          in_flight_ = nullptr;
        },
        false);
  } catch (const Exit& exit) {
    end_with(exit.reason);
  }
  meter.end(measured);
  meter.count_handled();
  if (traced != 0) trace_handled(site, sender, traced, error != nullptr);
  if (!error) return;
  end_site_ = site;
  end_sender_ = sender;
  end_with(ExitReason::exception(std::move(error)));
}

inline std::uint64_t ServerCore::trace_received(Message& message) noexcept {
  const std::uint64_t id = Tracer::id_of(message);
  Tracer::instance().emit(TraceEvent::Kind::received, *this, message, id, false);
  return id;
}

inline void ServerCore::trace_handled(const CallSite& site, std::uint32_t sender,
                                      std::uint64_t message, bool has_failed) noexcept {
  TraceEvent event;
  event.kind = TraceEvent::Kind::handled;
  event.site = site;
  event.sender = Pid{sender};
  event.message = message;
  event.has_failed = has_failed;
  Tracer::instance().emit(event, *this);
}

/// Tries a call that waits for its guard; returns false if it has to wait on.
inline bool ServerCore::retry(GuardedMessage& message) {
  if (ends_with_ || !continuations_.is_empty() || record().is_suspended()) return false;
  bool has_run = false;
  attempt(message, [&] { has_run = message.try_run(state()); });
  if (!has_run && !ends_with_) record().meter().uncount_handled();
  return has_run || ends_with_;  // what ends the server is not tried again, but refused
}

inline void ServerCore::finish() noexcept {
  const TurnGuard turn{record(), CallSite{}};
  record().set_life(ServerRecord::Life::stopping);
  set_reason(ends_with_ ? *ends_with_ : ExitReason::killed());
  mailbox().close();
  const bool had_state = has_state_;
  if (had_state) terminate();
  has_state_ = false;
  if (had_state) destroy_state();
  refuse_everything();
  if (had_state) report_end();  // else the starter gets the exception
  record().set_over();
  end_.publish();
}

inline void ServerCore::terminate() noexcept {
  const ExitReason reason = end_.refusal().reason;
  std::exception_ptr error;
  try {
    error = capture([&] { terminate_state(reason); }, false);
  } catch (const Exit& exit) {
    set_reason(exit.reason);
  }
  if (error) set_reason(ExitReason::exception(std::move(error)));
}

inline void ServerCore::refuse_everything() noexcept {
  const Refusal refusal = end_.refusal();
  if (Message* const message = std::exchange(in_flight_, nullptr)) message->refuse(refusal);
  guarded_.refuse_all(refusal);
  continuations_.refuse_all(refusal);
  timers().close();
  while (Message* const message = mailbox().pop()) message->refuse(refusal);
  book_.refuse_all();
}

inline void ServerCore::set_reason(const ExitReason& reason) noexcept {
  end_.set_reason(reason);
  book_.close(reason);
}

inline void ServerCore::report_end() noexcept {
  const ExitReason reason = end_.refusal().reason;
  try {
    report_refused(CallSite{});
    if (!reason.is_abnormal()) return;
    Report report;
    report.kind = Report::Kind::crash;
    report.server = name();
    report.pid = pid();
    report.site = end_site_;
    std::tie(report.client, report.client_pid) = Directory::instance().find(end_sender_);
    report.reason = reason;
    deliver(report);
  } catch (...) {  // out of memory: the exit reason still tells
  }
}

}  // namespace genserver
