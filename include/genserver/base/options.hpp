// SPDX-License-Identifier: BSL-1.0
// The options a server is started with.
#pragma once

#include <genserver/base/error.hpp>

#include <chrono>
#include <cstddef>
#include <string>

namespace genserver::inline v0 {

/// What a full mailbox does with the next cast, send, async call or timed call.
enum class OnFull {
  block,        ///< The sender waits for room, at most until its deadline.
  fail,         ///< The sender is refused: cast returns false, a call throws MailboxFull.
  drop_newest,  ///< As fail: what came last is dropped.
  drop_oldest   ///< The oldest in the mailbox is dropped, its caller gets MailboxFull.
};

/// What to do when a request of this server's handlers would close a circle of waiting servers.
enum class OnDeadlock {
  raise,   ///< Report it and throw Deadlock.
  report,  ///< Report it and wait all the same.
  ignore   ///< Do not look; the watchdog remains.
};

/// What an exception in a call does.
enum class OnException {
  reply,  ///< It goes to the caller, and the server lives.
  crash   ///< The server ends with it; the caller gets ServerGone with the exception nested.
};

/// Which thread runs a server's handlers.
enum class RunCalls {
  on_server_thread,  ///< The server's own, always.
  /// That of a caller which finds the server idle: nobody has to be woken. It also handles what was
  /// queued before its call, of whatever sort, and up to 64 messages that come behind it (in a
  /// call_when, whatever comes while it spins). Handlers run one at a time and in order all the
  /// same, but with any caller's thread-locals, thread name, priority and stack size, while that
  /// thread may hold locks, also those of KeyLocks. A handler that ends its thread ends the server,
  /// and the caller's thread. No handler may wait for what a caller does after its call, since that
  /// caller may be the one that runs it.
  on_caller_when_idle
};

/// The options of one server; all may be left out.
struct Options {
  /// Shown in reports and by debuggers, which see the first 15 bytes as the thread's name.
  /// Empty: the name of State's type.
  std::string name{};
  /// How many casts, sends, async and timed calls may wait: 1 to 32767.
  std::size_t mailbox_capacity = 4096;
  OnFull on_full = OnFull::block;  ///< What becomes of a cast or a timed call when it is full.
  /// The watchdog reports a handler or a waiting caller after this time; 0 turns it off.
  std::chrono::nanoseconds stuck_after = std::chrono::seconds{30};
  /// For what this server's handlers ask of others, not for what others ask of it.
  OnDeadlock on_deadlock = OnDeadlock::raise;
  OnException on_exception = OnException::reply;    ///< Whom an exception in a call reaches.
  RunCalls run_calls = RunCalls::on_server_thread;  ///< Whether callers may run the handlers.
  /// The stack of the server's thread in bytes, rounded up to what the system allows; 0: default.
  std::size_t stack_size = 0;
};

/// The largest mailbox_capacity; the mailbox counts in 15 bits.
inline constexpr std::size_t max_mailbox_capacity = 32767;

/// Checks that the options make sense.
///
/// Throws: InvalidArgument, which names the option, its value and what is allowed.
inline void validate(const Options& options) {
  if (options.mailbox_capacity < 1 || options.mailbox_capacity > max_mailbox_capacity) {
    throw InvalidArgument{"server \"" + options.name + "\": mailbox_capacity is " +
                          std::to_string(options.mailbox_capacity) + ", allowed is 1 to " +
                          std::to_string(max_mailbox_capacity)};
  }
  if (options.stuck_after.count() < 0) {
    throw InvalidArgument{"server \"" + options.name + "\": stuck_after is " +
                          std::to_string(options.stuck_after.count()) +
                          " ns, it cannot be negative"};
  }
}

}  // namespace genserver::v0
