// SPDX-License-Identifier: BSL-1.0
// What a supervisor has to know about one child.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/base/error.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace genserver::inline v0 {

/// When a child that has ended by itself is started again.
///
/// Erlang: the `restart` of a child specification.
enum class Restart {
  permanent,  ///< Always.
  transient,  ///< If it has ended abnormally: neither `normal` nor `shutdown`.
  temporary   ///< Never; its specification goes with it.
};

/// How long a child may take to end when its supervisor stops it; then it is killed.
///
/// Made from any std::chrono::duration. Erlang: the `shutdown` of a child specification.
class Shutdown {
 public:
  /// Throws: InvalidArgument if `time` is negative.
  template <class Rep, class Period>
  Shutdown(std::chrono::duration<Rep, Period> time, CallSite site = CallSite::here())
      : time_{Timespan{time, site}.length()} {}

  /// It is killed at once: State::terminate is not called.
  static Shutdown brutal_kill() noexcept { return Shutdown{std::optional{brutal}}; }
  /// It is waited for, however long it takes.
  static Shutdown infinity() noexcept { return Shutdown{std::nullopt}; }

  /// Returns whether it is brutal_kill().
  [[nodiscard]] bool is_brutal_kill() const noexcept { return time_ == brutal; }
  /// Returns the point of time when a child that is stopped now is killed.
  [[nodiscard]] Deadline deadline() const {
    return time_ ? Deadline::after(std::max(*time_, {})) : Deadline::never();
  }

  friend bool operator==(const Shutdown&, const Shutdown&) = default;

 private:
  static constexpr std::chrono::nanoseconds brutal{-1};  // no Timespan is negative

  explicit Shutdown(std::optional<std::chrono::nanoseconds> time) noexcept : time_{time} {}

  std::optional<std::chrono::nanoseconds> time_;
};

/// How a supervisor asks a child to end.
enum class StopBy {
  /// By an exit signal: what waits in its mailbox is refused, and a handler that waits in the
  /// library leaves. A child that traps exits handles what was sent before. As Erlang does it.
  exit_signal,
  /// By a last message: what was sent before is handled, within the time of the Shutdown.
  last_message
};

/// What the ids of a supervisor's children are good for.
enum class ChildIds {
  unique,  ///< They name children: each has one, and no two have the same.
  any      ///< They are for reports alone.
};

/// The specification of a child; all but `id` may be left out.
///
/// Erlang: supervisor:child_spec().
struct ChildSpec {
  /// Unique among the children of its supervisor; those of a DynamicSupervisor need none.
  std::string id{};
  Restart restart = Restart::permanent;  ///< Whether it is started again when it has ended.
  /// How long it may take to end. Empty: 5 s, and for a child that is a supervisor `infinity`.
  std::optional<Shutdown> shutdown{};
  /// Whether the supervisor's AutoShutdown heeds its end. Not for permanent children.
  bool significant = false;
  StopBy stop_by = StopBy::exit_signal;  ///< How it is asked to end.
  /// Where it was written, for reports.
  CallSite site = CallSite::here();
};

/// A State, or an owner, whose constructor throws this is not started, and that is no error: the
/// child's specification stays, with no server, unless it is temporary.
///
/// Erlang: the `ignore` of init/1.
struct [[gnu::visibility("default")]] IgnoreStart {};

/// A supervisor said no, because of what one child, or the whole of them, is doing.
///
/// Erlang: the errors of supervisor:start_child/2, restart_child/2 and so on.
class [[gnu::visibility("default")]] ChildError : public Error {
 public:
  enum class Kind {
    already_present,  ///< The id has a specification, whose server does not run.
    already_started,  ///< The id has a server: holder().
    running,          ///< Only what does not run can be restarted or deleted.
    restarting,       ///< It is about to be restarted.
    not_found,        ///< There is no such child.
    max_children      ///< There are as many as DynamicSupervisorOptions::max_children allows.
  };

  ChildError(Kind kind, const std::string& message, Pid holder = {})
      : Error{message}, kind_{kind}, holder_{holder} {}

  /// Returns what is in the way.
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  /// Returns the server of the child, if there is one.
  [[nodiscard]] Pid holder() const noexcept { return holder_; }

 private:
  Kind kind_;
  Pid holder_;
};

/// Returns the kind as words.
constexpr const char* to_string(ChildError::Kind kind) noexcept {
  constexpr const char* words[] = {"is already present", "is already started", "is running",
                                   "is being restarted", "is not found",
                                   "is one more than max_children allows"};
  return words[static_cast<std::size_t>(kind)];
}

/// Returns the restart as a word.
constexpr const char* to_string(Restart restart) noexcept {
  constexpr const char* words[] = {"permanent", "transient", "temporary"};
  return words[static_cast<std::size_t>(restart)];
}

/// Returns whether a child that ended by itself for this reason is started again.
inline bool is_restarted(Restart restart, const ExitReason& reason) noexcept {
  return restart == Restart::permanent ||
         (restart == Restart::transient && reason.is_abnormal());
}

}  // namespace genserver::v0
