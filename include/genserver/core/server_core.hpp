// SPDX-License-Identifier: BSL-1.0
// The life of one server, whatever its State.
// Longer than other headers: who may touch what at a server's end, also one that was killed, can
// only be checked where it is on one page. What callers do with their own threads is in
// caller_turn.hpp.
#pragma once

#include <genserver/core/custody.hpp>
#include <genserver/core/guarded_calls.hpp>
#include <genserver/core/handler_wait.hpp>
#include <genserver/core/inbox.hpp>
#include <genserver/core/request.hpp>
#include <genserver/core/running.hpp>
#include <genserver/core/server_end.hpp>
#include <genserver/core/watchdog.hpp>
#include <genserver/sync/shared_thread.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <tuple>
#include <utility>

namespace genserver::inline v0 {

class ExitMessage;

/// What happens when a server is killed whose handler does not return.
enum class OnUnkillable {
  report,  ///< It is reported, and its thread left to itself.
  abort    ///< The process is aborted, after the report.
};

/// The choice of the whole process.
[[gnu::visibility("default")]] inline std::atomic<OnUnkillable>& on_unkillable() noexcept {
  static std::atomic<OnUnkillable> choice{OnUnkillable::report};  // relaxed: publishes nothing
  return choice;
}
inline void set_on_unkillable(OnUnkillable choice) noexcept {
  on_unkillable().store(choice, std::memory_order_relaxed);  // as above
}

/// Runs messages on a thread of its own, from the making of the State to its end.
///
///   starting ──▶ running ──▶ stopping ──▶ ended
///       │           └── exception ──▲
///       └── the State's constructor throws ──▶ ended
///
/// The end, in this order, so that the State's resources are free before anybody learns of it:
/// the mailbox is closed; State::terminate; State's destructor; names are given back; what is still
/// queued is completed; a crash is reported; the end is published, monitors and links are told, and
/// who waits is woken; the thread ends. Who kills a server in the midst of the user's code does all
/// that but the State's part, which is left to the thread.
///
/// Threads: any, except for what is the runner's: who has the right to run the mailbox.
class ServerCore : public Inbox, public std::enable_shared_from_this<ServerCore> {
 public:
  /// `state` is where the State will be.
  ServerCore(const Options& options, void* state) : Inbox{options}, place_{state} {}

  /// Starts the thread, which calls `make(context)` to make the State, and waits for that.
  ///
  /// Blocks: until it has returned. Throws: StartFailed; what make() throws.
  void start(void (*make)(void* context), void* context);

  /// Waits for its end. Returns false at the deadline.
  ///
  /// Throws: SelfWait, Deadlock, Exit.
  bool wait(Deadline deadline, const CallSite& site);

  /// It gets an exit signal: no further message is handled, a handler that waits in the library
  /// leaves by Exit, and it ends with `reason`. Does not wait.
  void exit(const ExitReason& reason) noexcept;
  /// Ends it now, without terminate. A handler that runs is abandoned: everybody is told, and the
  /// thread destroys State when the handler returns.
  ///
  /// Blocks: until the end is published, which no handler can hold up.
  void kill() noexcept;
  [[nodiscard]] bool is_killed() const noexcept {
    return is_killed_.load(std::memory_order_relaxed);  // only a wish
  }

  /// Asks it to end with `reason` when what was sent before has been handled. Does not wait.
  void request_stop(const ExitReason& reason) noexcept;
  /// Whether a handler that waits for an end leaves when its own server gets an exit signal. An
  /// owner does not: what it owns must not outlive it.
  enum class Waiter { leaves, stays };

  /// Asks it to end, and waits for the end of its thread. Returns false at the deadline.
  ///
  /// Throws: SelfWait; then it was not asked; Deadlock, as a rule before it was; Exit, if the
  ///         waiter leaves.
  bool stop(const ExitReason& reason, Deadline deadline, const CallSite& site, Waiter waiter);
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
  /// `resumes` is what resumes() said before: one that came since counts for more.
  void suspend_here(std::uint32_t resumes) noexcept {
    record().set_suspended(true);  // first: one that comes now takes it back
    if (resumes != this->resumes()) record().set_suspended(false);
  }
  [[nodiscard]] std::uint32_t resumes() const noexcept {
    return resumes_.load(std::memory_order_relaxed);  // a number that publishes nothing
  }
  /// Handles messages again.
  void resume() noexcept {
    resumes_.fetch_add(1, std::memory_order_relaxed);  // see resumes()
    record().set_suspended(false);
    parker().unpark();
  }

  /// Runs `function()` on this thread, as the server's handler, if the server is idle. Returns
  /// false if not. What is queued meanwhile is handled as well, or handed to the server's thread.
  /// Ends the caller's `edge` when the handler has returned.
  ///
  /// Throws: ServerGone, if the server ends in it.
  /// Cost:   two locked instructions, or one, after many calls in a row that found it idle.
  template <class R, class Function>
  bool try_run_here(const CallSite& site, const WaitToken& edge, Outcome<R>& outcome,
                    Function&& function);

  /// Sends a call that lies in the caller's frame, and waits until it is completed. If callers run
  /// the server, takes part in that. Returns false if the server takes no more.
  ///
  /// Threads: those that run no server.
  bool exchange(Message& message, OneShot& done);

  // --- the runner's

  /// The user's code begins. Everything the runner owns may be somebody else's before it ends.
  void begin_handler() noexcept { custody_.begin(); }
  /// It has ended. Returns false if the server was killed meanwhile: then the caller is gone.
  ///
  /// Blocks: then, until who killed it has finished.
  bool end_handler() noexcept {
    if (custody_.end()) [[likely]] return true;
    end_.done().sleep(Deadline::never());  // he only runs the library's code, and destructors
    return false;
  }

  /// Ends the server after this message.
  void end_with(ExitReason reason) noexcept { ends_with_ = std::move(reason); }
  /// Queues a message to be run before all that is in the mailbox.
  void post_first(Message& message) noexcept { continuations_.push_back(message); }
  /// Queues a call until its guard holds.
  void post_guarded(GuardedMessage& message) noexcept {
    guarded_.push_back(message);
    leave_unhandled();
  }
  /// The message that runs is not handled after all: its caller has left, or it waits on.
  void leave_unhandled() noexcept { is_handled_ = false; }
  /// Throws: SelfWait if there is no State yet, ServerGone if there is none any more.
  void check_state(const CallSite& site) const;
  [[nodiscard]] void* state() const noexcept { return place_; }

  /// Returns a message for the end of a server that this one is linked to, or null if State has no
  /// handle_info(const ExitSignal&).
  [[nodiscard]] virtual std::shared_ptr<ExitMessage> make_exit_message() = 0;
  /// Whether exit signals of linked servers are messages.
  [[nodiscard]] bool traps_exits() const noexcept {
    return traps_exits_.load(std::memory_order_relaxed);  // a flag that publishes nothing
  }
  void trap_exits(bool traps) noexcept {
    traps_exits_.store(traps, std::memory_order_relaxed);  // as above
  }
  /// The links of this server, by the other's pid; guarded by one mutex for all servers.
  [[nodiscard]] std::map<Pid, std::shared_ptr<ExitWatcher>>& links() noexcept { return links_; }

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

  // Wakes the runner, so that it sees the orders in its record.
  struct WakeMessage final : Message {
    WakeMessage() noexcept : Message{CallSite{}} {}
    void run(void*) override {}
    void refuse(const Refusal&) noexcept override {}
  };

  struct StopMessage final : Message {
    explicit StopMessage(ServerCore& owner) noexcept : Message{CallSite{}}, server{owner} {}
    void run(void*) override {
      server.leave_unhandled();
      server.end_with(reason);
    }
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
  struct CallerGuard;
  struct TurnGuard {  // shows the watchdog what runs
    TurnGuard(ServerRecord& of, const CallSite& site, std::uint32_t sender = 0) noexcept
        : record{of} {
      record.begin_message(site, sender);
    }
    ~TurnGuard() { record.end_message(); }
    ServerRecord& record;
  };

  /// How a handler has come back.
  struct HandlerRun {
    std::exception_ptr error{};         // what it threw
    std::optional<ExitReason> exits{};  // it was left by Exit
    bool is_ours = false;               // otherwise the server was taken meanwhile
  };

  virtual void terminate_state(const ExitReason& reason) = 0;
  virtual void destroy_state() noexcept = 0;

  /// One handler's wait for the end. That of ServerEnd has many waiters: it is not interrupted.
  struct EndWaiter final : ExitWatcher {
    OneShot done{};
    void on_exit(const ExitedServer&) noexcept override { done.set(); }
  };

  /// The server that the calling thread abandons, whose end it cannot wait for.
  [[gnu::visibility("default")]] static const ServerCore*& abandoning() noexcept {
    static constinit thread_local const ServerCore* server = nullptr;
    return server;
  }

  template <class Cause>
  bool wait(Deadline deadline, const CallSite& site, Waiter waiter, Cause&& cause);
  /// Returns whether the calling thread is in the midst of running it, perhaps below other servers.
  [[nodiscard]] bool is_on_this_stack() const noexcept {
    const Running* running = Running::now();
    while (running != nullptr && &running->server != this) running = running->outer;
    return running != nullptr;
  }
  static void thread_main(void* start);
  void run(Start& start);
  bool make_state(Start& start);
  void fail_start(Start& start, std::exception_ptr error);
  Message* next();
  void heed_orders() noexcept;
  void wait_for_resume() noexcept;
  void wait_for_news();
  template <class Done>
  bool spin_idle(Done&& is_done);
  [[nodiscard]] bool is_serving() const noexcept {
    return !ends_with_ && !custody_.is_lost() && !record().has_orders();
  }
  void serve();
  void wake_for_timers() noexcept;
  void hand_over() noexcept;
  void leave_unwound() noexcept;
  [[noreturn]] void leave_ending(const CallSite& site);
  /// Returns whether there is work that only who runs the server knows of.
  [[nodiscard]] bool has_own_work() const noexcept {
    return !is_serving() || !continuations_.is_empty() || !guarded_.is_empty();
  }
  bool retry(GuardedMessage& message);
  void retry_guarded() {
    guarded_.retry([this](GuardedMessage& message) { return retry(message); });
  }
  std::uint64_t trace_received(Message& message) noexcept;
  void trace_handled(const CallSite& site, std::uint32_t sender, std::uint64_t message,
                     bool has_failed) noexcept;
  template <class Function>
  HandlerRun run_here(const CallSite& site, Function&& function);
  template <class Function>
  HandlerRun run_handler(const CallSite& site, std::uint32_t sender, Function&& function);
  template <class Function>
  void attempt(Message& message, Function&& function);
  void handle(Message& message) {
    attempt(message, [&] { message.run(state()); });
  }
  void crash(std::exception_ptr error, const CallSite& site, std::uint32_t sender);
  void finish() noexcept;
  void publish_end() noexcept;
  void abandon() noexcept;
  void report_abandoned(const RawStack& stack) noexcept;
  void clean_up() noexcept;
  ExitedServer as_exited() const { return {pid(), name(), end_.refusal().reason}; }
  void terminate() noexcept;
  void refuse_everything() noexcept;
  void set_reason(const ExitReason& reason) noexcept;
  void report_end() noexcept;

  void* const place_;  // the State's
  RequestBook book_{};
  SpinGovernor idle_{};

  // The runner's:
  MessageList continuations_{};
  GuardedCalls guarded_{};           // whose guard did not hold
  bool is_put_off_ = false;          // a guard was not asked, because of an order
  bool is_handled_ = true;           // the message that runs; see leave_unhandled()
  Message* in_flight_ = nullptr;     // being run; refused if the server ends in it
  std::optional<ExitReason> ends_with_{};  // set: the server ends after this message
  CallSite end_site_{};              // where the message was sent that threw, and by whom
  std::uint32_t end_sender_ = 0;
  bool has_state_ = false;
  Start* starting_ = nullptr;        // while State is being made

  Custody custody_{};                      // over all of these
  std::atomic<bool> is_killed_{false};  // relaxed: see is_killed()
  WakeMessage wake_message_{};

  std::atomic<std::uint32_t> resumes_{0};  // relaxed: see resumes()

  StopMessage stop_message_{*this};
  // Relaxed: it only chooses who sends the message, and ends a suspension, which is woken for it.
  std::atomic<bool> is_stop_sent_{false};

  std::atomic<bool> traps_exits_{false};                   // relaxed: see trap_exits()
  std::map<Pid, std::shared_ptr<ExitWatcher>> links_{};  // see links()

  ServerEnd end_{};
  bool is_abandoned_ = false;  // published with end_

  SharedThread thread_{};
};

/// The server whose handler runs on this thread; there has to be one.
inline ServerCore& running_server() noexcept {
  return static_cast<ServerCore&>(Running::now()->server);
}

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
  await_asleep(start.done, WaitKind::start, CallSite{}, Deadline::never());
  if (!start.error) return;
  thread_.join();
  std::rethrow_exception(std::move(start.error));
}

inline void ServerCore::exit(const ExitReason& reason) noexcept {
  record().set_exiting();
  if (!interrupts().raise(reason)) return;
  post(wake_message_);
  parker().unpark();  // it may be suspended
}

inline void ServerCore::kill() noexcept {
  is_killed_.store(true, std::memory_order_relaxed);  // see is_killed()
  exit(ExitReason::killed());
  if (is_self() || abandoning() == this) return;  // the handler goes on, and then it ends
  // Who runs the server is about to see the order, or in the user's code. That, too, may come back
  // by itself, if it waits in the library; so there is a moment's patience.
  constexpr std::chrono::milliseconds moment{1};
  while (!end_.done().sleep(Deadline::after(moment))) {
    if (custody_.take()) return abandon();
    if (is_on_this_stack()) return;  // as above, when this thread is back there
  }
}

inline void ServerCore::request_stop(const ExitReason& reason) noexcept {
  if (is_stop_sent_.exchange(true, std::memory_order_relaxed)) return;  // see the member
  stop_message_.reason = reason;
  post(stop_message_);
  parker().unpark();  // it may be suspended, now or when it comes to that
  interrupts().ask_to_stop();
}

inline bool ServerCore::stop(const ExitReason& reason, Deadline deadline, const CallSite& site,
                             Waiter waiter) {
  if (!wait(deadline, site, waiter, [&] { request_stop(reason); })) return false;
  // A handler does not join: what the thread still does would be no edge of the wait graph.
  if (Running::now() == nullptr && deadline.is_never()) thread_.join();
  return true;
}

inline bool ServerCore::wait(Deadline deadline, const CallSite& site) {
  return wait(deadline, site, Waiter::leaves, [] {});
}

/// Waits for the end, which `cause()` brings about once it is clear that waiting is no deadlock.
template <class Cause>
bool ServerCore::wait(Deadline deadline, const CallSite& site, Waiter waiter, Cause&& cause) {
  check_not_forked(site);
  if (end_.done().is_set()) return true;
  if (is_self() || abandoning() == this) {
    raise_self_wait("a server cannot wait for its own end; request_stop() does not wait", site);
  }
  CallerEdge edge{*this, WaitKind::stop, site};
  edge.check();
  cause();
  std::optional<CallerEdge> again;
  if (edge.is_replaced()) {  // it has run the user's code, which has waited for others
    again.emplace(*this, WaitKind::stop, site);
    again->check();
  }
  std::shared_ptr<EndWaiter> own;
  if (Running::now() != nullptr && waiter == Waiter::leaves) {
    own = std::make_shared<EndWaiter>();
    if (!end_.watchers().add(own)) own = nullptr;  // it is ending at this moment
  }
  if (own != nullptr) {
    const Waited waited = await_interruptibly(own->done, WaitKind::stop, site, deadline);
    if (waited != Waited::done) end_.watchers().remove(*own);
    if (waited == Waited::interrupted) check_exit();
    if (waited != Waited::done) return false;
  }
  // Until the others are told, too.
  return await_asleep(end_.done(), WaitKind::stop, site, deadline);
}

inline bool ServerCore::leave() noexcept {
  if (is_forked_child()) {  // its thread is not here, and would need this object
    static_cast<void>(new std::shared_ptr<ServerCore>{shared_from_this()});
    return true;
  }
  try {
    if (!is_self() && abandoning() != this &&
        stop(ExitReason::normal(), Deadline::never(), CallSite{}, Waiter::stays)) {
      if (Running::now() != nullptr) thread_.detach();  // a handler has not joined it
      return !is_abandoned_;
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
      if (admission == Admission::late && wait == nullptr) record().meter().count_refused();
      if (admission == Admission::gone) why = end_.refusal();
      message.refuse(why);
      return admission;
    }
  } catch (...) {  // a deadlock
    message.refuse(why);
    throw;
  }
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
  record().set_home(ThreadRecord::current());
  record().note_cpu();
  const RunningScope scope{*this};
  const LastGuard last{*this};
  if (make_state(start)) {
    const EndGuard end{*this};
    while (!ends_with_ && !custody_.is_lost()) {
      if (Message* const message = next()) handle(*message);
      retry_guarded();
    }
  }
}

/// Makes the State and lets start() return. Returns false if there is none; then all is over.
inline bool ServerCore::make_state(Start& start) {
  std::exception_ptr error;
  starting_ = &start;
  try {
    const TurnGuard turn{record(), CallSite{}};
    custody_.begin();
    start.make(start.context);
    has_state_ = true;
  } catch (...) {
    error = std::current_exception();
    if (error == nullptr) {  // the thread ends
      if (end_handler()) {
        fail_start(start,
                   std::make_exception_ptr(StartFailed{"the thread of \"" + name() +
                                                       "\" was ended as it started"}));
      }
      throw;
    }
  }
  if (!end_handler()) {  // killed: the starter has been told
    if (!has_state_) clean_up();
    return has_state_;
  }
  starting_ = nullptr;
  if (error) {
    if (interrupts().is_raised()) {  // a signal ended it, not its constructor
      error = std::make_exception_ptr(
          StartFailed{fmt::format("server \"{}\" was ended as it started: {}", name(),
                                  interrupts().reason()->what())});
    }
    fail_start(start, std::move(error));
    return false;
  }
  record().set_life(ServerRecord::Life::serving);
  start.waiter.end();  // before the answer, as every edge
  start.done.set();
  return true;
}

inline void ServerCore::fail_start(Start& start, std::exception_ptr error) {
  end_with(interrupts().is_raised() ? *interrupts().reason() : ExitReason::exception(error));
  finish();
  start.error = std::move(error);
  start.waiter.end();  // as above
  start.done.set();
}

/// Returns the next message, or null after a wait: then there may be other things to do.
inline Message* ServerCore::next() {
  if (record().has_orders() || is_put_off_) [[unlikely]] {
    is_put_off_ = false;  // guarded calls first, if it was suspended, be it resumed since or here
    heed_orders();
    return nullptr;
  }
  if (Message* const message = continuations_.pop_front()) return message;
  timers().push_due(mailbox());
  if (Message* const message = mailbox().pop()) return message;
  wait_for_news();
  return nullptr;
}

inline void ServerCore::heed_orders() noexcept {
  if (!interrupts().is_raised() && record().is_suspended()) wait_for_resume();
  if (interrupts().is_raised()) end_with(interrupts().reason().value());
}

/// Keeps the right to run meanwhile, so that nobody else handles a call.
inline void ServerCore::wait_for_resume() noexcept {
  // The loads are relaxed: what resume(), request_stop() and exit() set comes with the unpark().
  while (record().is_suspended() && !is_stop_sent_.load(std::memory_order_relaxed) &&
         !interrupts().is_raised()) {
    parker().park(Deadline::never());
  }
  record().set_suspended(false);
  record().meter().measure_next();
}

inline void ServerCore::wait_for_news() {
  // It keeps the right to run while it spins, so that senders need not wake it; unless callers
  // want that right.
  const bool keeps = options().run_calls == RunCalls::on_server_thread;
  if (keeps && spin_idle([&] { return mailbox().has_news(); })) return;
  if (!mailbox().rest()) return;
  if (!keeps) spin_idle([&] { return parker().is_notified(); });
  constexpr std::chrono::nanoseconds shortest = std::chrono::microseconds{20};
  constexpr std::chrono::nanoseconds longest = std::chrono::milliseconds{100};
  std::chrono::nanoseconds pause = shortest;
  do {  // ends by a push that finds it idle, by hand_over(), or by a timer
    Deadline end = timers().next_due();
    if (mailbox().is_held_up()) {
      // Who had the lease when it was asked for may put it back without a word, at once as a rule:
      // so with growing pauses. Who comes later tells.
      end = end.or_earlier(Deadline::after(pause));
      pause = std::min(pause * 2, longest);
    } else {
      pause = shortest;
    }
    parker().park(end);
    timers().push_due(mailbox());
  } while (!mailbox().try_run());
  record().set_runner(ThreadRecord::current());
  record().note_cpu();
  record().meter().measure_next();  // who comes after a pause is not one of a crowd
}

/// Spins when there is nothing to do. Yields once: who has just been answered may be waiting for
/// this processor, with the next call.
template <class Done>
bool ServerCore::spin_idle(Done&& is_done) {
  bool yields = true;
  const auto has_lost_time = [&yields] {
    YieldGovernor& yielding = YieldGovernor::of_servers();
    if (!std::exchange(yields, false) || !yielding.may_yield()) return false;
    if (YieldGovernor::yield()) return false;
    yielding.rest();
    return true;
  };
  return idle_.spin_until(is_done, 1, has_lost_time);
}

/// Runs a message or the like, shown to the watchdog. Where that comes to the user's code, it says
/// begin_handler().
template <class Function>
ServerCore::HandlerRun ServerCore::run_handler(const CallSite& site, std::uint32_t sender,
                                               Function&& function) {
  HandlerRun run;
  try {
    const TurnGuard turn{record(), site, sender};
    run.error = capture(function);
  } catch (const Exit& exit) {
    run.exits = exit.reason;
  }
  run.is_ours = end_handler();
  return run;
}

/// Runs one message; what it throws ends the server.
template <class Function>
void ServerCore::attempt(Message& message, Function&& function) {
  const CallSite site = message.site();
  const std::uint32_t sender = message.sender();
  ServerMeter& meter = record().meter();
  const ServerMeter::Measured measured = meter.begin(message);
  if (measured.weight != 0) [[unlikely]] record().note_cpu();  // the clock was read, too
  const std::uint64_t traced = record().is_traced() ? trace_received(message) : 0;
  in_flight_ = &message;
  is_handled_ = true;
  bool is_gone = false;
  HandlerRun run = run_handler(site, sender, [&] {
    function();
    is_gone = true;
  });
  if (is_gone) in_flight_ = nullptr;
  if (!run.is_ours) return;
  if (is_handled_) {
    meter.end(measured);
    meter.count_handled();
  }
  if (traced != 0) trace_handled(site, sender, traced, run.error != nullptr);
  if (run.exits) end_with(*run.exits);
  if (run.error) crash(std::move(run.error), site, sender);
}

/// What a message threw that was sent from `site` ends the server.
inline void ServerCore::crash(std::exception_ptr error, const CallSite& site,
                              std::uint32_t sender) {
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
  if (ends_with_ || custody_.is_lost()) return false;
  if (!continuations_.is_empty()) return false;
  if (record().has_orders()) {
    is_put_off_ = true;
    return false;
  }
  bool has_run = false;
  attempt(message, [&] {
    has_run = message.try_run(state());
    if (!has_run) leave_unhandled();
  });
  // What ends the server is not tried again, but refused; of a killed one it may be gone.
  return has_run || ends_with_ || custody_.is_lost();
}

inline void ServerCore::finish() noexcept {
  if (!end_handler()) return clean_up();  // unwound, or killed, in the user's code
  interrupts().mask();
  const TurnGuard turn{record(), CallSite{}};
  record().set_life(ServerRecord::Life::stopping);
  record().set_suspended(false);
  if (is_killed()) ends_with_ = ExitReason::killed();
  set_reason(ends_with_ ? *ends_with_ : ExitReason::killed());
  mailbox().close();
  const bool had_state = has_state_;
  if (had_state && !is_killed()) terminate();
  if (!end_handler()) return clean_up();
  has_state_ = false;
  if (had_state) {
    custody_.begin();
    destroy_state();
    if (!end_handler()) return clean_up();
  }
  end_.holders().tell(as_exited());
  refuse_everything();
  if (had_state) report_end();  // else the starter gets the exception
  publish_end();
}

/// Nobody waits for it any more, and all learn of its end.
inline void ServerCore::publish_end() noexcept {
  if (record().is_traced()) Tracer::instance().set(*this, nullptr);
  record().set_over();
  end_.publish(as_exited());
}

/// Does all of finish() that does not need the thread, while that is in the user's code.
inline void ServerCore::abandon() noexcept {
  struct Scope {
    const ServerCore* outer;
    ~Scope() { abandoning() = outer; }
  } const scope{std::exchange(abandoning(), this)};
  is_abandoned_ = true;
  thread_.detach();  // nobody can wait for it; before anybody is told, and tries
  record().set_life(ServerRecord::Life::abandoned);
  set_reason(ExitReason::killed());
  timers().close();  // first: the server's own thread may be pushing what is due
  mailbox().close();
  const RawStack stack = record().runner_addresses();  // before it can return
  const Refusal refusal = end_.refusal();
  end_.holders().tell(as_exited());
  if (in_flight_ != nullptr && !in_flight_->abandon(refusal)) in_flight_ = nullptr;
  guarded_.refuse_all(refusal);
  while (Message* const message = mailbox().pop()) message->refuse(refusal);
  book_.refuse_all();
  if (starting_ != nullptr) {
    starting_->error = std::make_exception_ptr(
        StartFailed{"server \"" + name() + "\" was killed as it started"});
    starting_->waiter.end();  // before the answer, as every edge
    starting_->done.set();
  }
  publish_end();
  report_abandoned(stack);
  if (on_unkillable().load(std::memory_order_relaxed) == OnUnkillable::abort) std::abort();
}

/// The rest, when the handler of a killed server has returned at last.
inline void ServerCore::clean_up() noexcept {
  interrupts().mask();  // what State's destructor waits for is not left by Exit
  if (std::exchange(has_state_, false)) destroy_state();
  if (Message* const message = std::exchange(in_flight_, nullptr)) message->refuse(end_.refusal());
  continuations_.refuse_all(end_.refusal());
  record().set_life(ServerRecord::Life::gone);
}

inline void ServerCore::report_abandoned(const RawStack& stack) noexcept {
  try {
    report_refused(CallSite{});
    Report report;
    report.kind = Report::Kind::abandoned;
    report.server = name();
    report.pid = pid();
    report.site = record().message_site();
    std::tie(report.client, report.client_pid) =
        Directory::instance().find(record().message_sender());
    report.stacks.push_back({name(), pid(), symbolize(stack)});
    report.outcome = "killed: its callers were told, its thread ends when the handler returns";
    deliver(report);
  } catch (...) {  // out of memory: the snapshot still tells
  }
}

inline void ServerCore::terminate() noexcept {
  const ExitReason reason = end_.refusal().reason;
  std::exception_ptr error;
  custody_.begin();
  try {
    error = capture([&] { terminate_state(reason); });
  } catch (const Exit& exit) {
    if (end_handler()) set_reason(exit.reason);
  }
  if (error && end_handler()) set_reason(ExitReason::exception(std::move(error)));
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
    // What ended it by a signal has been reported where it began.
    if (!reason.is_abnormal() || reason == interrupts().reason()) return;
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

}  // namespace genserver::v0
