// SPDX-License-Identifier: BSL-1.0
// A reference to a server with a certain State: what one may send to it.
// Longer than other headers, so that the whole of the sending API is on one page.
#pragma once

#include <genserver/base/handler.hpp>
#include <genserver/core/any_ref.hpp>
#include <genserver/core/caller_turn.hpp>
#include <genserver/core/diagnosis.hpp>
#include <genserver/core/future.hpp>
#include <genserver/core/handler_wait.hpp>
#include <genserver/core/messages.hpp>
#include <genserver/core/reply.hpp>
#include <genserver/core/server.hpp>
#include <genserver/core/timer.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

class Monitor;

/// Names a server with this State, and sends to it.
///
/// What is sent is a *handler*, a closure that takes `State&` or nothing, or a *message*, any
/// object for which State has `handle_call`, `handle_cast` or `handle_info`. Handlers run one at
/// a time on the server's thread (or a caller's, if Options::run_calls says so), in the order in
/// which one thread has sent them; what the sender wrote before is visible to the handler.
///
/// An exception in a call goes to the caller, and the server lives (unless
/// Options::on_exception says otherwise). In a cast, an info, a timer or a continuation nobody can
/// receive it, so it ends the server, as does `throw Exit{reason}` anywhere.
///
/// A call that a handler makes on its own server runs at once, inside that handler. Such calls
/// may be nested 64 deep.
///
/// Every sending function ends with the defaulted place where it was called, for reports.
///
/// Throws: as AnyRef; InvalidArgument for an empty function; std::bad_alloc.
template <class State>
class ServerRef : public AnyRef, private detail::Diagnosis<State> {
  using Wrong = detail::Diagnosis<State>;

 public:
  ServerRef() noexcept = default;

  // What does not compile, and why: see core/diagnosis.hpp.
  using Wrong::call, Wrong::call_for, Wrong::call_until, Wrong::call_when, Wrong::async_call;
  using Wrong::cast, Wrong::try_cast, Wrong::cast_for, Wrong::send;
  using Wrong::cast_after, Wrong::cast_every, Wrong::continue_with;

  // --- ask, and wait for the answer

  /// Runs `handler` on the server and returns its result. The handler stays where it is: it may
  /// refer to the caller's local variables. It takes no place in the mailbox, so a full one does
  /// not refuse it.
  ///
  /// Blocks: until the handler has run; on the server's own thread it runs at once.
  /// Throws: what the handler throws; ServerGone; Deadlock.
  /// Cost:   no allocation.
  /// Erlang: gen_server:call/3 with `infinity`.
  template <class Handler, class H = std::remove_reference_t<Handler>>
    requires CallRequestOf<H, State>
  auto call(Handler&& handler, CallSite site = CallSite::here()) const -> CallResult<H, State>;

  /// As call(), but gives up after `timeout`. If the handler has not begun, it never will;
  /// CallTimeout::phase() tells. If it has, it runs on when the caller has left, so it must own
  /// what it uses: capture by value.
  ///
  /// Blocks: until the handler has run, or `timeout`, which covers also the wait for a place in a
  ///         full mailbox; 0 does not wait. On the server's own thread it runs at once, and fully.
  /// Throws: CallTimeout; as call(); MailboxFull if Options::on_full says so.
  /// Cost:   one allocation.
  /// Erlang: gen_server:call/3.
  template <class Handler>
    requires CallRequestOf<Handler, State>
  auto call_for(Timespan timeout, Handler handler, CallSite site = CallSite::here()) const
      -> CallResult<Handler, State> {
    return call_until(Deadline::after(timeout), std::move(handler), site);
  }
  template <class Handler>
    requires CallRequestOf<Handler, State>
  auto call_until(Deadline deadline, Handler handler, CallSite site = CallSite::here()) const
      -> CallResult<Handler, State>;

  /// Runs `handler(state, reply)`, and returns what `reply` is given, then or later. The caller
  /// leaves as soon as the reply is answered, while the handler runs on: up to the answer it may
  /// refer to the caller's local variables, what it uses after that it must own.
  ///
  /// Blocks: until then. On the server's own thread the handler has to answer at once.
  /// Throws: what is given to Reply::fail or thrown; NoReply; ServerGone; Deadlock; SelfWait if
  ///         the server calls itself and the answer is left for later.
  /// Cost:   one allocation.
  /// Erlang: handle_call/3 that returns noreply.
  template <class R, class Handler>
    requires DeferredHandlerOf<Handler, State, R>
  R call(Handler handler, CallSite site = CallSite::here()) const;
  /// The same, but gives up as the other call_for() does; CallTimeout also tells the reply's label.
  template <class R, class Handler>
    requires DeferredHandlerOf<Handler, State, R>
  R call_for(Timespan timeout, Handler handler, CallSite site = CallSite::here()) const {
    return call_until<R>(Deadline::after(timeout), std::move(handler), site);
  }
  template <class R, class Handler>
    requires DeferredHandlerOf<Handler, State, R>
  R call_until(Deadline deadline, Handler handler, CallSite site = CallSite::here()) const;

  /// Runs `handler` as soon as `guard(state)` is true: at once, or after the message that makes it
  /// so. Who has waited longest goes first. Both may refer to the caller's local variables.
  ///
  /// Blocks: until the handler has run.
  /// Throws: as call(); what the guard throws; SelfWait if the server calls itself and the guard
  ///         does not hold.
  /// Cost:   no allocation; while anybody waits, each message evaluates the guards.
  /// Source: Hoare, "Monitors", CACM 17(10), 1974: the conditional wait.
  template <class Guard, class Handler, class H = std::remove_reference_t<Handler>>
    requires(GuardOf<std::remove_reference_t<Guard>, State> && HandlerOf<H, State>)
  auto call_when(Guard&& guard, Handler&& handler, CallSite site = CallSite::here()) const
      -> CallResult<H, State>;

  /// Sends a call and returns at once. The handler must own what it uses. If the server has ended
  /// or the mailbox refuses it, that is what the future holds.
  ///
  /// Blocks: with OnFull::block, while the mailbox is full.
  /// Throws: Deadlock, while it waits for room.
  /// Cost:   one allocation.
  /// Erlang: gen_server:send_request/2.
  template <class Handler>
    requires CallRequestOf<Handler, State>
  auto async_call(Handler handler, CallSite site = CallSite::here()) const
      -> Future<CallResult<Handler, State>>;
  /// The same with a handler that may answer later.
  template <class R, class Handler>
    requires DeferredHandlerOf<Handler, State, R>
  Future<R> async_call(Handler handler, CallSite site = CallSite::here()) const;

  // --- tell, and go on

  /// Sends a handler or message whose result nobody waits for; it must own what it uses. Returns
  /// false if the server has ended or the mailbox refuses it.
  ///
  /// Blocks: with OnFull::block, while the mailbox is full; never on the server's own thread.
  /// Throws: Deadlock, while it waits for room.
  /// Cost:   no allocation after warm-up, if what is sent has at most 80 bytes.
  /// Erlang: gen_server:cast/2.
  template <class Handler>
    requires CastRequestOf<Handler, State>
  bool cast(Handler handler, CallSite site = CallSite::here()) const {
    return submit_cast(std::move(handler), Deadline::never(), site);
  }
  /// As cast(), but never waits.
  template <class Handler>
    requires CastRequestOf<Handler, State>
  bool try_cast(Handler handler, CallSite site = CallSite::here()) const {
    return submit_cast(std::move(handler), Deadline{Deadline::Clock::time_point{}}, site);
  }
  /// As cast(), but waits for `timeout` at most.
  template <class Handler>
    requires CastRequestOf<Handler, State>
  bool cast_for(Timespan timeout, Handler handler, CallSite site = CallSite::here()) const {
    return submit_cast(std::move(handler), Deadline::after(timeout), site);
  }
  /// As cast(), for a message that State takes with `handle_info`.
  ///
  /// Erlang: erlang:send/2.
  template <class Message>
    requires InfoMessageOf<Message, State>
  bool send(Message message, CallSite site = CallSite::here()) const {
    return submit_cast(InfoOf<Message>{std::move(message)}, Deadline::never(), site);
  }

  // --- later

  /// Casts `handler` after `delay`. It comes behind what is queued by then. On a server that has
  /// ended the timer has ended too.
  ///
  /// Cost:   two allocations; the server's thread looks after its timers itself.
  /// Erlang: erlang:send_after/3.
  template <class Handler>
    requires TimerRequestOf<Handler, State>
  Timer cast_after(Timespan delay, Handler handler, CallSite site = CallSite::here()) const {
    return arm(delay, std::chrono::nanoseconds::zero(), std::move(handler), site);
  }
  /// Casts `handler` every `period`, from one period on. If the server is late, what it has missed
  /// is left out. A message has to be copyable.
  ///
  /// Throws: InvalidArgument if `period` is 0.
  /// Erlang: timer:send_interval/2.
  template <class Handler>
    requires PeriodicRequestOf<Handler, State>
  Timer cast_every(Timespan period, Handler handler, CallSite site = CallSite::here()) const;

  /// Runs `handler` after the handler that calls this, before anything that is queued.
  ///
  /// Throws: SelfWait unless called from the server's own handlers or State's constructor;
  ///         ServerGone from State::terminate.
  /// Erlang: {continue, Term} and handle_continue/2.
  template <class Handler>
    requires CastRequestOf<Handler, State>
  void continue_with(Handler handler, CallSite site = CallSite::here()) const;

  // --- watch other servers; defined in otp/monitor.hpp and otp/link.hpp

  /// Runs `on_down(state, down)` on this server when `target` has ended: exactly once, after all
  /// that `target` has sent to this server. If `target` has ended before, at once, with the reason
  /// `no_server`. Without `on_down`, the State's handle_info(const Down&) is called.
  ///
  /// Dropping the Monitor leaves it in force.
  ///
  /// Throws: ServerGone if this server has ended.
  /// Cost:   four allocations, one more for the copy of a long name; none later.
  /// Erlang: erlang:monitor/2.
  template <class OnDown>
  Monitor monitor(const AnyRef& target, OnDown on_down, CallSite site = CallSite::here()) const;
  Monitor monitor(const AnyRef& target, CallSite site = CallSite::here()) const;

  /// Links this server and `peer`: if one of them ends with any reason but normal, the other gets
  /// an exit signal with that reason. There is at most one link between two servers. A link to one
  /// that has ended is a signal with the reason `no_server`.
  ///
  /// Throws: ServerGone if this server has ended.
  /// Erlang: link/1.
  void link(const AnyRef& peer, CallSite site = CallSite::here()) const;
  /// Takes the link away, from whichever side. No signal comes from it afterwards.
  ///
  /// Erlang: unlink/1.
  void unlink(const AnyRef& peer) const;
  /// Whether the ends of linked servers, also normal ones, come as messages to State's
  /// handle_info(const ExitSignal&), instead of ending this server.
  ///
  /// Erlang: process_flag(trap_exit, Boolean).
  void trap_exits(bool traps) const;

  // --- for maintenance

  /// Lets the server handle no further message until resume(): what was sent before is still
  /// handled, and what comes later is kept. Does nothing if it is suspended. A server that is asked
  /// to stop resumes by itself.
  ///
  /// Blocks: until what was sent before has been handled; in its own handlers it takes effect after
  ///         the handler.
  /// Throws: ServerGone; Deadlock; SelfWait in State's constructor.
  /// Erlang: sys:suspend/1.
  void suspend(CallSite site = CallSite::here()) const {
    ServerCore& server = core();
    server.check_not_forked(site);
    if (server.record().is_suspended()) return;
    call([&server, resumes = server.resumes()] { server.suspend_here(resumes); }, site);
  }
  /// Lets a suspended server go on, and one that is about to be suspended. Erlang: sys:resume/1.
  void resume(CallSite site = CallSite::here()) const {
    core().check_not_forked(site);
    core().resume();
  }

 protected:
  explicit ServerRef(std::shared_ptr<Server<State>> server) noexcept
      : AnyRef{std::move(server)} {}

 private:
  template <class Other>
  friend ServerRef<Other> self(CallSite site);
  template <class Other>
  friend ServerRef<Other> ref_cast(const AnyRef& ref) noexcept;

  template <class Message>
  struct InfoOf {
    void operator()(State& state) { state.handle_info(std::move(message)); }
    Message message;
  };

  [[nodiscard]] State& state() const { return *static_cast<State*>(core().state()); }

  template <class Handler>
  ServerCore& checked(const Handler& handler, const CallSite& site) const;
  template <class R>
  [[nodiscard]] std::shared_ptr<RequestFor<R>> make_request(const CallSite& site) const {
    return std::make_shared<RequestFor<R>>(shared_core(), core().book(), site);
  }
  template <class Handler>
  CallResult<Handler, State> call_self(Handler& handler, const CallSite& site) const;
  template <class R, class Handler>
  R call_self_deferred(Handler& handler, const CallSite& site) const;
  template <class Handler, class Result>
  bool call_here(Handler& handler, Outcome<Result>& outcome, const CallSite& site) const;
  template <class Frame>
  typename Frame::Result exchange(Frame& frame, GuardedMessage* guarded) const;
  template <class R, Answer answer, class Handler>
  R ask(Handler&& handler, Deadline deadline, const CallSite& site) const;
  template <class R, Answer answer, class Handler>
  Future<R> ask_later(Handler&& handler, const CallSite& site) const;
  template <class Handler>
  bool submit_cast(Handler&& handler, Deadline deadline, const CallSite& site) const;
  template <class Handler>
  Timer arm(Timespan delay, std::chrono::nanoseconds period, Handler&& handler,
            const CallSite& site) const;
};

namespace detail {

/// Counts how deep a server's calls to itself are nested.
class Nesting {
 public:
  static constexpr unsigned deepest = 64;

  Nesting(const Callee& server, const CallSite& site) {
    if (Running::now()->depth == deepest) {
      server.raise_self_wait("its calls to itself are nested more than 64 deep", site);
    }
    ++Running::now()->depth;
  }
  ~Nesting() { --Running::now()->depth; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
};

/// A temporary handler goes to the server for the time that it runs; what the caller keeps using
/// stays where it is.
template <class Handler>
inline constexpr HandlerIs who_keeps =
    !std::is_reference_v<Handler> && !std::is_const_v<Handler> &&
            std::is_move_constructible_v<Handler>
        ? HandlerIs::given
        : HandlerIs::lent;

template <class R>
constexpr auto check_result() noexcept {
  static_assert(ReturnsValue<R>,
                "genserver: a handler must return a value; a reference, a view (string_view, "
                "span) or an iterator into State would be used while the server changes it. Return "
                "a copy, or genserver::unsafe_ref if you know better.");
}

}  // namespace detail

template <class State>
template <class Handler>
ServerCore& ServerRef<State>::checked(const Handler& handler, const CallSite& site) const {
  check_not_empty(handler, site);
  ServerCore& server = core();
  server.check_not_forked(site);
  return server;
}

template <class State>
template <class Handler, class H>
  requires CallRequestOf<H, State>
auto ServerRef<State>::call(Handler&& handler, CallSite site) const -> CallResult<H, State> {
  detail::check_result<CallResult<H, State>>();
  ServerCore& server = checked(handler, site);
  if constexpr (!HandlerOf<H, State> && std::is_lvalue_reference_v<Handler>) {
    std::remove_const_t<H> message(handler);  // a message is given away: the sender keeps its own
    return call(std::move(message), site);
  } else {
    if (server.is_self()) return call_self(handler, site);
    if (server.options().run_calls == RunCalls::on_caller_when_idle) {
      Outcome<CallResult<H, State>> outcome;
      if (call_here(handler, outcome, site)) return outcome.take();
    }
    CallMessage<State, H, detail::who_keeps<Handler>> frame{handler, site};
    return exchange(frame, nullptr);
  }
}

/// Runs a handler of another server on this thread, if that server is idle.
template <class State>
template <class Handler, class Result>
bool ServerRef<State>::call_here(Handler& handler, Outcome<Result>& outcome,
                                 const CallSite& site) const {
  ServerCore& server = core();
  check_exit();
  // Nobody looks for a circle: an idle server waits for nobody, and if its handler comes to wait,
  // that one's look finds this edge.
  const CallerEdge edge{server, WaitKind::call, site};
  return server.try_run_here(site, edge.token(), outcome,
                             [&]() -> Result { return run_call(state(), handler); });
}

/// Sends a call that lives in this frame, and waits.
template <class State>
template <class Frame>
typename Frame::Result ServerRef<State>::exchange(Frame& frame, GuardedMessage* guarded) const {
  // Held, since the handler may drop what this call was made through.
  const std::shared_ptr<ServerCore> held = shared_core();
  ServerCore& server = *held;
  const CallSite site = frame.site();
  {
    CallerEdge edge{server, WaitKind::call, site};
    edge.check();
    frame.set_waiter(edge.token());
    if (Running::now() != nullptr) {
      send_revocably(server, frame, guarded);
    } else if (!server.exchange(frame, frame.done())) {
      server.raise(server.end().refusal(), WaitKind::call, site);
    }
  }
  if (frame.outcome().is_refusal()) {
    server.raise(frame.outcome().refusal(), WaitKind::call, site);
  }
  return frame.outcome().take();
}

/// Runs a handler of the server that calls itself.
template <class State>
template <class Handler>
CallResult<Handler, State> ServerRef<State>::call_self(Handler& handler,
                                                       const CallSite& site) const {
  core().check_state(site);
  const detail::Nesting nesting{core(), site};
  return run_call(state(), handler);
}

template <class State>
template <class Handler>
  requires CallRequestOf<Handler, State>
auto ServerRef<State>::call_until(Deadline deadline, Handler handler, CallSite site) const
    -> CallResult<Handler, State> {
  using Result = CallResult<Handler, State>;
  detail::check_result<Result>();
  ServerCore& server = checked(handler, site);
  if (server.is_self()) return call_self(handler, site);
  return ask<Result, Answer::at_once>(std::move(handler), deadline, site);
}

template <class State>
template <class R, class Handler>
  requires DeferredHandlerOf<Handler, State, R>
R ServerRef<State>::call_until(Deadline deadline, Handler handler, CallSite site) const {
  detail::check_result<R>();
  ServerCore& server = checked(handler, site);
  if (server.is_self()) return call_self_deferred<R>(handler, site);
  return ask<R, Answer::deferred>(std::move(handler), deadline, site);
}

/// Sends a request whose caller may leave, and waits for the answer until the deadline.
template <class State>
template <class R, Answer answer, class Handler>
R ServerRef<State>::ask(Handler&& handler, Deadline deadline, const CallSite& site) const {
  const auto request = make_request<R>(site);
  RequestWait wait{*request, WaitKind::call, site};
  using Sent = RequestMessage<State, R, Handler, answer>;
  auto* const message = new Sent{request, std::move(handler), site};
  if (core().submit(*message, deadline, &wait) == Admission::late) {
    request->raise_timeout(CallPhase::not_sent);
  }
  switch (wait.until(deadline)) {
    case Waited::done: break;
    case Waited::late:
      if (const auto phase = request->give_up()) request->raise_timeout(*phase);
      break;
    case Waited::interrupted:
      if (request->give_up()) check_exit();
  }
  return request->take(WaitKind::call, site);
}

template <class State>
template <class R, class Handler>
  requires DeferredHandlerOf<Handler, State, R>
R ServerRef<State>::call(Handler handler, CallSite site) const {
  detail::check_result<R>();
  ServerCore& server = checked(handler, site);
  if (server.is_self()) return call_self_deferred<R>(handler, site);
  const auto request = make_request<R>(site);
  RequestWait wait{*request, WaitKind::call, site};
  wait.begin();
  using Sent = RequestMessage<State, R, Handler, Answer::deferred>;
  auto* const message = new Sent{request, std::move(handler), site};
  if (!server.post(*message)) message->refuse(server.end().refusal());
  if (wait.until(Deadline::never()) == Waited::interrupted && request->leave_when_allowed()) {
    check_exit();
  }
  return request->take(WaitKind::call, site);
}

/// Runs a deferred handler of the server that calls itself; it has to answer at once.
template <class State>
template <class R, class Handler>
R ServerRef<State>::call_self_deferred(Handler& handler, const CallSite& site) const {
  ServerCore& server = core();
  server.check_state(site);
  const detail::Nesting nesting{server, site};
  const auto request = make_request<R>(site);
  run_deferred<State, R>(state(), handler, request);
  if (request->give_up()) {
    server.raise_self_wait("the server would wait for its own answer, which it left for later",
                           site);
  }
  return request->take(WaitKind::call, site);
}

template <class State>
template <class Guard, class Handler, class H>
  requires(GuardOf<std::remove_reference_t<Guard>, State> && HandlerOf<H, State>)
auto ServerRef<State>::call_when(Guard&& guard, Handler&& handler, CallSite site) const
    -> CallResult<H, State> {
  detail::check_result<CallResult<H, State>>();
  check_not_empty(guard, site);
  ServerCore& server = checked(handler, site);
  if (server.is_self()) {
    server.check_state(site);
    if (!guard(std::as_const(state()))) {
      server.raise_self_wait("the server would wait for its own guard", site);
    }
    return call_self(handler, site);
  }
  GuardedCall<State, std::remove_reference_t<Guard>, H, detail::who_keeps<Handler>> frame{
      guard, handler, site};
  return exchange(frame, &frame);
}

template <class State>
template <class Handler>
  requires CallRequestOf<Handler, State>
auto ServerRef<State>::async_call(Handler handler, CallSite site) const
    -> Future<CallResult<Handler, State>> {
  return ask_later<CallResult<Handler, State>, Answer::at_once>(std::move(handler), site);
}

template <class State>
template <class R, class Handler>
  requires DeferredHandlerOf<Handler, State, R>
Future<R> ServerRef<State>::async_call(Handler handler, CallSite site) const {
  return ask_later<R, Answer::deferred>(std::move(handler), site);
}

template <class State>
template <class R, Answer answer, class Handler>
Future<R> ServerRef<State>::ask_later(Handler&& handler, const CallSite& site) const {
  detail::check_result<R>();
  ServerCore& server = checked(handler, site);
  auto request = make_request<R>(site);
  using Sent = RequestMessage<State, R, Handler, answer>;
  server.submit(*new Sent{request, std::move(handler), site}, Deadline::never());
  return Future<R>{std::move(request)};
}

template <class State>
template <class Handler>
bool ServerRef<State>::submit_cast(Handler&& handler, Deadline deadline,
                                   const CallSite& site) const {
  ServerCore& server = checked(handler, site);
  auto* const message = new CastMessage<State, Handler>{std::move(handler), site};
  return server.submit(*message, deadline) == Admission::accepted;
}

template <class State>
template <class Handler>
  requires PeriodicRequestOf<Handler, State>
Timer ServerRef<State>::cast_every(Timespan period, Handler handler, CallSite site) const {
  if (period.length().count() == 0) {
    throw InvalidArgument{"a timer with a period of 0 was asked for at " + to_string(site)};
  }
  return arm(period, period.length(), std::move(handler), site);
}

template <class State>
template <class Handler>
Timer ServerRef<State>::arm(Timespan delay, std::chrono::nanoseconds period, Handler&& handler,
                            const CallSite& site) const {
  ServerCore& server = checked(handler, site);
  const std::shared_ptr<TimerQueue> queue{shared_core(), &server.timers()};
  auto timer = std::make_shared<TimerFor<State, Handler>>(queue, period, std::move(handler), site);
  server.arm(timer, Deadline::after(delay));
  return Timer{timer};
}

template <class State>
template <class Handler>
  requires CastRequestOf<Handler, State>
void ServerRef<State>::continue_with(Handler handler, CallSite site) const {
  ServerCore& server = checked(handler, site);
  if (!server.is_self()) {
    server.raise_self_wait("continue_with is for the server's own handlers", site);
  }
  if (server.is_closed()) server.raise(server.end().refusal(), WaitKind::call, site);
  auto* const message = new CastMessage<State, Handler>{std::move(handler), site};
  if (Tracer::is_sink_running()) Tracer::hide(*message);
  server.post_first(*message);
}

}  // namespace genserver::v0

template <class State>
struct std::hash<genserver::ServerRef<State>> : std::hash<genserver::AnyRef> {};
