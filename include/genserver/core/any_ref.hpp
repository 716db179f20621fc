// SPDX-License-Identifier: BSL-1.0
// A reference to a server of any kind.
#pragma once

#include <genserver/core/server_core.hpp>

#include <compare>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace genserver::inline v0 {

/// Names a server, whatever its State. A value: copyable, comparable, hashable.
///
/// It does not keep the server running, and stays usable after its end.
///
/// Threads: any; changing the same reference is for one.
/// Throws:  InvalidArgument from every function of an empty reference, which is made by default;
///          Forked from whatever sends or waits, in a child made by fork().
/// Erlang:  pid().
class AnyRef {
 public:
  AnyRef() noexcept = default;

  /// Returns whether it names a server, alive or not.
  [[nodiscard]] explicit operator bool() const noexcept { return server_ != nullptr; }

  /// Returns false once the server has ended.
  [[nodiscard]] bool is_alive() const { return !core().end().is_over(); }
  /// Returns the number of the server, which no other one in this process has or will have.
  [[nodiscard]] Pid pid() const { return core().pid(); }
  /// Returns its Options::name, or what stands for it. Two servers may have the same.
  [[nodiscard]] const std::string& name() const { return core().name(); }
  /// Returns why the server has ended, or nothing while it has not.
  [[nodiscard]] std::optional<ExitReason> exit_reason() const { return core().end().reason(); }

  /// Stops the server when what was sent before has been handled, and waits for its end. What is
  /// sent later is refused.
  ///
  /// Blocks: until the server's thread has ended.
  /// Throws: ServerGone if it had ended before; SelfWait from its own handlers; Deadlock.
  /// Erlang: gen_server:stop/3.
  void stop(ExitReason reason = ExitReason::normal(), CallSite site = CallSite::here()) const {
    check_alive(site);
    core().stop(reason, Deadline::never(), site, ServerCore::Waiter::leaves);
  }
  /// As stop(). Returns false if the time is up; the server still stops, later.
  bool stop_for(Timespan timeout, ExitReason reason = ExitReason::normal(),
                CallSite site = CallSite::here()) const {
    check_alive(site);
    return core().stop(reason, Deadline::after(timeout), site, ServerCore::Waiter::leaves);
  }
  /// As stop(), but does not wait; its own handlers may do that too. Does nothing if it has ended.
  void request_stop(ExitReason reason = ExitReason::normal(),
                    CallSite site = CallSite::here()) const {
    core().check_not_forked(site);
    core().request_stop(reason);
  }

  /// Waits for the server's end, which somebody else brings about.
  ///
  /// Blocks: until it has ended, and those who monitor it have been told.
  /// Throws: SelfWait from its own handlers; Deadlock; Exit, if the handler that waits gets an exit
  ///         signal.
  void wait(CallSite site = CallSite::here()) const {
    core().wait(Deadline::never(), site);
  }
  /// As wait(). Returns false if the time is up.
  bool wait_for(Timespan timeout, CallSite site = CallSite::here()) const {
    return core().wait(Deadline::after(timeout), site);
  }

  /// Sends an exit signal: the server ends with `reason` when its handler has returned, before any
  /// further message. A handler that waits in the library (call, Future, stop, room, sleep_for)
  /// leaves by Exit, one that waits elsewhere can look at self_stop_token(). A call that is running
  /// right now on another server is waited for, since it may use what was lent to it, and so is
  /// the end of a server that the handler owns. State's terminate is called. Exit ends the program
  /// if the handler waits in a function that is noexcept.
  ///
  /// A server that traps exits gets an ExitSignal instead. The reason `normal` is ignored unless it
  /// does. The reason `killed` is kill(). It does nothing to a server that is ending.
  ///
  /// Does not wait, but runs the callbacks of the handler's stop token, if it has any.
  ///
  /// Erlang: exit/2.
  void exit(const ExitReason& reason, CallSite site = CallSite::here()) const;

  /// Ends the server at once, without State::terminate, whatever it does. C++ cannot end a thread:
  /// a handler that runs is *abandoned*. The server's names are free, it counts as ended with the
  /// reason `killed`, those who monitor it are told, and all its callers get ServerGone, now. The
  /// thread ends when the handler returns, and destroys State then; until that it is in snapshots,
  /// and it is reported once, with its stack.
  ///
  /// The caller of an untimed call that is running is let go, too. What its handler holds by value
  /// stays; what it refers to in the caller's frame is gone. So where servers may be killed, let
  /// such handlers own what they use, and make objects whose handlers use `this` with start<T>().
  ///
  /// Blocks: for about a millisecond, which no handler can make longer; but the guard of a
  ///         call_when, a callback of the handler's stop token, a report's or trace's sink and the
  ///         destructor of what was sent can, while they run.
  /// Erlang: exit(Pid, kill).
  void kill(CallSite site = CallSite::here()) const {
    core().check_not_forked(site);
    core().kill();
  }

  /// Two references are equal if they name the same server.
  friend bool operator==(const AnyRef& a, const AnyRef& b) noexcept {
    return a.server_ == b.server_;
  }
  /// Ordered by pid, the empty one first.
  friend std::strong_ordering operator<=>(const AnyRef& a, const AnyRef& b) noexcept {
    return a.order() <=> b.order();
  }

  [[nodiscard]] std::size_t hash() const noexcept {
    return std::hash<const void*>{}(server_.get());
  }

  /// For the library's own functions that take a reference.
  [[nodiscard]] Callee& callee() const { return core(); }
  [[nodiscard]] const std::shared_ptr<ServerCore>& shared_core() const noexcept { return server_; }

  [[nodiscard]] static AnyRef of(std::shared_ptr<ServerCore> server) noexcept {
    return AnyRef{std::move(server)};
  }

  friend bool operator==(const AnyRef& ref, Pid pid) noexcept { return ref.order() == pid; }

 protected:
  explicit AnyRef(std::shared_ptr<ServerCore> server) noexcept : server_{std::move(server)} {}

  [[nodiscard]] ServerCore& core() const {
    if (server_ == nullptr) {
      throw InvalidArgument{"an empty ServerRef was used: it names no server"};
    }
    return *server_;
  }
 private:
  [[nodiscard]] Pid order() const noexcept { return server_ ? server_->pid() : Pid{}; }
  void check_alive(const CallSite& site) const {
    core().check_not_forked(site);
    if (core().end().is_over()) core().raise(core().end().refusal(), WaitKind::stop, site);
  }

  std::shared_ptr<ServerCore> server_{};
};

}  // namespace genserver::v0

template <>
struct std::hash<genserver::AnyRef> {
  std::size_t operator()(const genserver::AnyRef& ref) const noexcept { return ref.hash(); }
};
