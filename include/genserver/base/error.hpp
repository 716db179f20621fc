// SPDX-License-Identifier: BSL-1.0
// The exceptions with which the library says no.
#pragma once

#include <genserver/base/call_site.hpp>
#include <genserver/base/exit_reason.hpp>
#include <genserver/base/pid.hpp>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// The base of all of them; each message names the server, the call site and what went wrong.
/// A shared library that hides its names has the same types, so that it can throw and catch them.
class [[gnu::visibility("default")]] Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The server has ended, or ended before it could answer.
///
/// Where a handler's exception ended it, that exception is nested (std::rethrow_if_nested).
/// Erlang: the exits `noproc` and `{Reason, {gen_server, call, _}}`.
class [[gnu::visibility("default")]] ServerGone : public Error {
 public:
  ServerGone(const std::string& message, ExitReason reason)
      : Error{message}, reason_{std::move(reason)} {}

  /// Returns why the server ended.
  [[nodiscard]] const ExitReason& reason() const noexcept { return reason_; }

 private:
  ExitReason reason_;
};

/// How far a call had come when its time was up.
enum class CallPhase {
  not_sent,  ///< It waited for room in the mailbox; it has not run and never will.
  queued,    ///< It was still in the mailbox and was taken back; it has not run and never will.
  running,   ///< Its handler was running; it runs on, and its result is dropped.
  parked     ///< Its handler had returned and left the answer for later.
};

/// Returns the phase as a word.
constexpr const char* to_string(CallPhase phase) noexcept {
  constexpr const char* words[] = {"not sent", "queued", "running", "parked"};
  return words[static_cast<std::size_t>(phase)];
}

/// A timed call was not answered in time. Repeating it is safe unless it was running or parked.
class [[gnu::visibility("default")]] CallTimeout : public Error {
 public:
  using Phase = CallPhase;

  CallTimeout(const std::string& message, CallPhase phase) : Error{message}, phase_{phase} {}

  /// Returns how far it had come, which tells whether it may be repeated.
  [[nodiscard]] CallPhase phase() const noexcept { return phase_; }

 private:
  CallPhase phase_;
};

/// What a server waits for.
enum class WaitKind {
  call,    ///< The answer to a call.
  future,  ///< The answer that a Future holds.
  room,    ///< Room in a full mailbox.
  stop,    ///< The server's end, in stop() or wait().
  start,   ///< A server that is being started.
  lock     ///< A key that the server holds, in with_lock().
};

/// Returns the kind as a word; `room` is "cast".
constexpr const char* to_string(WaitKind kind) noexcept {
  constexpr const char* words[] = {"call", "future", "cast", "stop", "start", "lock"};
  return words[static_cast<std::size_t>(kind)];
}

/// One line of a deadlock: `waiter` waits for `target`, at `site`, and has waited `age`.
struct WaitEdge {
  std::string waiter{};            ///< The name of the server that waits.
  Pid waiter_pid{};
  std::string target{};            ///< The name of the server that it waits for.
  Pid target_pid{};
  WaitKind kind = WaitKind::call;  ///< What it waits for there.
  CallSite site{};                 ///< Where it began to wait.
  std::chrono::nanoseconds age{};  ///< 0 where it is not known.
};

/// Waiting would have closed a circle of servers that wait for each other.
///
/// Thrown by exactly the request that would close it, which was not sent.
class [[gnu::visibility("default")]] Deadlock : public Error {
 public:
  Deadlock(const std::string& message, std::vector<WaitEdge> cycle)
      : Error{message}, cycle_{std::move(cycle)} {}

  /// Returns every edge of the circle, beginning with the one that would have closed it.
  [[nodiscard]] const std::vector<WaitEdge>& cycle() const noexcept { return cycle_; }

 private:
  std::vector<WaitEdge> cycle_;
};

/// The mailbox was full, and its policy refused or dropped the request.
class [[gnu::visibility("default")]] MailboxFull : public Error {
 public:
  using Error::Error;
};

/// The answer was left for later, and then given up: the Reply was aborted or dropped.
class [[gnu::visibility("default")]] NoReply : public Error {
 public:
  using Error::Error;
};

/// Done on the wrong thread: a server cannot wait for its own end, its own later answer or its own
/// guard, and self(), continue_with() and self_stop_token() are for handlers only.
class [[gnu::visibility("default")]] SelfWait : public Error {
 public:
  using Error::Error;
};

/// The name is held by another server.
class [[gnu::visibility("default")]] NameTaken : public Error {
 public:
  NameTaken(const std::string& message, Pid holder) : Error{message}, holder_{holder} {}

  /// Returns the server that has the name.
  [[nodiscard]] Pid holder() const noexcept { return holder_; }

 private:
  Pid holder_;
};

/// The server could not be started: the system refused a thread.
class [[gnu::visibility("default")]] StartFailed : public Error {
 public:
  using Error::Error;
};

/// An argument made no sense: a capacity of 0, a negative duration, an empty function.
class [[gnu::visibility("default")]] InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// The process was forked, and this is the child: the servers' threads are not here.
class [[gnu::visibility("default")]] Forked : public Error {
 public:
  using Error::Error;
};

}  // namespace genserver::v0
