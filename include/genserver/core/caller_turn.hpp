// SPDX-License-Identifier: BSL-1.0
// What a caller's own thread does for a call: it sends it and waits, or runs the server itself.
#pragma once

#include <genserver/core/server_core.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace genserver::inline v0 {

/// Ends the server and hands it on if the caller's thread is unwound, by pthread_exit or
/// pthread_cancel, before the guard is dismissed.
struct ServerCore::CallerGuard {
  ServerCore& server;
  bool is_dismissed = false;
  ~CallerGuard() {
    if (!is_dismissed) server.leave_unwound();
  }
};

template <class R, class Function>
bool ServerCore::try_run_here(const CallSite& site, const WaitToken& edge, Outcome<R>& outcome,
                              Function&& function) {
  if (record().is_traced()) return false;
  const std::optional<Mailbox::Turn> turn = mailbox().try_run_idle();
  if (!turn) return false;
  HandlerRun run = run_here(site, [&] {
    begin_handler();
    outcome.emplace_result_of(function);
  });
  if (!run.is_ours || ends_with_) leave_ending(site);
  if (run.error) outcome.set_exception(std::move(run.error));
  edge.end();  // before another may run the server, and wait for who has called
  // Without the right to run, nothing of the server may be touched: the thread may end with it.
  if (!has_own_work() && mailbox().rest(*turn)) [[likely]] return true;
  const std::shared_ptr<ServerCore> held = shared_from_this();
  // A handler does not take along what is behind its call: it would wait for what it runs itself.
  Running::now() == nullptr ? serve() : hand_over();
  return true;
}

/// Runs a caller's own call, which was not sent.
template <class Function>
ServerCore::HandlerRun ServerCore::run_here(const CallSite& site, Function&& function) {
  const Running* const outer = Running::now();
  const Pid caller = outer != nullptr ? outer->server.pid() : Pid{};
  const auto sender = static_cast<std::uint32_t>(caller.value());
  CallerGuard guard{*this};
  record().set_runner(ThreadRecord::current());
  const RunningScope scope{*this};
  const ServerMeter::Measured measured = record().meter().begin();
  if (measured.weight != 0) [[unlikely]] record().note_cpu();  // the clock was read, too
  HandlerRun run = run_handler(site, sender, std::forward<Function>(function));
  if (run.is_ours) [[likely]] {
    record().meter().end(measured);
    record().meter().count_handled();
    if (run.exits) end_with(*run.exits);
    if (run.error && options().on_exception == OnException::crash) crash(run.error, site, sender);
  }
  guard.is_dismissed = true;
  return run;
}

inline bool ServerCore::exchange(Message& message, OneShot& done) {
  const CallSite site = message.site();
  if (options().run_calls == RunCalls::on_server_thread) {
    if (!post(message)) return false;
    await(done, WaitKind::call, site, Deadline::never());
    return true;
  }
  const Mailbox::Push pushed = push(message);
  if (pushed == Mailbox::Push::closed) return false;
  struct Stay {  // also if it is unwound in somebody else's handler
    OneShot& done;
    ~Stay() {
      if (!done.is_set()) done.sleep(Deadline::never());
    }
  } const stay{done};
  const auto is_done = [&] {
    if (done.is_set()) return true;
    if (!mailbox().try_run()) return false;
    serve();
    return done.is_set();
  };
  // Who has found the server idle owes it a runner: this thread, or whoever has come before it.
  // Only the server's thread waits for the end of a lease.
  if (pushed == Mailbox::Push::wake) {
    if (is_done()) return true;
    if (mailbox().is_held_up()) parker().unpark();
  }
  constexpr unsigned seldom = 32;  // a microsecond: the runner gets dozens of calls done meanwhile
  if (!spin_until(is_done, seldom)) {
    await_asleep(done, WaitKind::call, site, Deadline::never());
  }
  return true;
}

/// Handles what is queued, on the thread of a caller who has the right to run; not for too long.
inline void ServerCore::serve() {
  constexpr int most = 64;
  CallerGuard guard{*this};
  record().set_runner(ThreadRecord::current());
  record().note_cpu();
  const RunningScope scope{*this};
  for (int handled = 0; handled < most && is_serving(); ++handled) {
    retry_guarded();
    if (!is_serving()) break;  // a guarded call may have ended or suspended it
    if (std::exchange(is_put_off_, false)) continue;  // and somebody resumed it
    Message* message = continuations_.pop_front();
    if (message == nullptr) message = mailbox().pop();
    if (message != nullptr) {
      handle(*message);
      continue;
    }
    wake_for_timers();
    if (mailbox().rest()) {
      guard.is_dismissed = true;
      return;
    }
  }
  guard.is_dismissed = true;
  wake_for_timers();
  hand_over();
}

/// The server's thread sleeps until the first timer that it knows of; a caller may have run one
/// that is due again.
inline void ServerCore::wake_for_timers() noexcept {
  if (timers().take_rearmed()) parker().unpark();
}

/// Leaves what is to be done to the server's thread.
inline void ServerCore::hand_over() noexcept {
  if (mailbox().hand_over(has_own_work())) parker().unpark();
}

/// The thread of a caller who runs the server is being ended, so the server ends as well.
inline void ServerCore::leave_unwound() noexcept {
  const std::shared_ptr<ServerCore> held = shared_from_this();
  if (end_handler() && !ends_with_) ends_with_ = ExitReason::killed();
  hand_over();
}

/// The handler that a caller runs has ended the server, or it was killed meanwhile.
inline void ServerCore::leave_ending(const CallSite& site) {
  check_not_forked(site);  // in the handler: the server's thread is not here to end it
  const std::shared_ptr<ServerCore> held = shared_from_this();
  hand_over();
  await_asleep(end_.done(), WaitKind::call, site, Deadline::never());
  raise(end_.refusal(), WaitKind::call, site);
}

}  // namespace genserver::v0
