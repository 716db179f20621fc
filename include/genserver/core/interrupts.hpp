// SPDX-License-Identifier: BSL-1.0
// What makes a server's handler stop waiting: an exit signal.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/base/exit_reason.hpp>
#include <genserver/core/running.hpp>
#include <genserver/sync/one_shot.hpp>
#include <genserver/sync/platform/stop_token.hpp>

#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

namespace genserver::inline v0 {

/// How a wait ended.
enum class Waited { done, late, interrupted };

/// The exit signal that one server has got, and the wait of its handler that it interrupts.
///
/// A signal stays: once it is there, every later wait of a handler is interrupted at once, so that
/// a handler which catches everything does not go on for long.
///
/// Threads: raise() and the questions any; sleep() and mask() who runs the server.
class Interrupts {
 public:
  /// The server is to end with `reason`. A second signal counts only if it is a kill. Returns
  /// whether it was the first.
  bool raise(const ExitReason& reason) noexcept;

  /// Returns whether a signal has come.
  [[nodiscard]] bool is_raised() const noexcept {
    return is_raised_.load(std::memory_order_relaxed);  // what belongs to it is under the mutex
  }
  /// Returns the signal's reason, if one has come.
  [[nodiscard]] std::optional<ExitReason> reason() const {
    const std::scoped_lock lock{mutex_};
    return reason_;
  }
  /// Returns whether a wait may be interrupted now: there is a signal, the server is not ending
  /// anyhow, and no exception is on its way up in the handler, which a second one would turn into
  /// an abort.
  [[nodiscard]] bool is_due() const noexcept {
    return is_raised() && !is_masked_ && !is_unwinding();
  }
  /// From now on waits are not interrupted: the server is ending.
  void mask() noexcept { is_masked_ = true; }

  /// Throws: Exit with the signal's reason, if is_due().
  void check() const {
    if (is_due()) throw Exit{*reason()};
  }

  /// Returns what tells handlers that wait elsewhere that a signal has come.
  [[nodiscard]] StopToken stop_token();

  /// From now on stop_token() also tells that the server is asked to stop: for a handler that runs
  /// for as long as the server does.
  void heed_stops();
  /// The server is asked to stop, or its long handler is over.
  void ask_to_stop() noexcept;

  /// Sleeps until `done`. Blocks: until then, or the deadline, or a signal, if it is_due().
  Waited sleep(OneShot& done, Deadline deadline) noexcept;

 private:
  friend class InterruptMask;

  /// Those of the thread before the turn do not count: a destructor may run a server.
  static bool is_unwinding() noexcept {
    const Running* const running = Running::now();
    return std::uncaught_exceptions() > (running != nullptr ? running->exceptions : 0);
  }

  mutable std::mutex mutex_{};
  std::optional<ExitReason> reason_{};       // guarded by mutex_
  OneShot* sleeping_on_ = nullptr;           // guarded by mutex_
  std::optional<StopSource> stop_source_{};  // guarded by mutex_; made when it is asked for
  bool heeds_stops_ = false;                 // guarded by mutex_
  bool is_asked_to_stop_ = false;            // guarded by mutex_
  std::atomic<bool> is_raised_{false};
  bool is_masked_ = false;  // of who runs the server
};

/// Sees to it that waits are not interrupted while it lives: for destructors of the user's, out of
/// which no Exit may come.
///
/// Threads: who runs the server.
class InterruptMask {
 public:
  /// `interrupts` may be null.
  explicit InterruptMask(Interrupts* interrupts) noexcept
      : interrupts_{interrupts},
        was_masked_{interrupts != nullptr && std::exchange(interrupts->is_masked_, true)} {}
  ~InterruptMask() {
    if (interrupts_ != nullptr) interrupts_->is_masked_ = was_masked_;
  }
  InterruptMask(const InterruptMask&) = delete;
  InterruptMask& operator=(const InterruptMask&) = delete;

 private:
  Interrupts* const interrupts_;
  const bool was_masked_;
};

inline bool Interrupts::raise(const ExitReason& reason) noexcept {
  std::optional<StopSource> source;
  {
    const std::scoped_lock lock{mutex_};
    const bool is_first = !reason_.has_value();
    if (!is_first && reason.kind() != ExitReason::Kind::killed) return false;
    reason_ = reason;
    is_raised_.store(true, std::memory_order_relaxed);  // see is_raised()
    if (sleeping_on_ != nullptr) sleeping_on_->interrupt();
    if (!is_first) return false;
    source = stop_source_;
  }
  if (source) source->request_stop();  // runs the user's callbacks: not under the lock
  return true;
}

inline StopToken Interrupts::stop_token() {
  const std::scoped_lock lock{mutex_};
  if (!stop_source_) {
    stop_source_.emplace();
    if (reason_) stop_source_->request_stop();  // nobody can have a callback yet
  }
  return stop_source_->get_token();
}

inline void Interrupts::heed_stops() {
  const StopToken token = stop_token();  // makes the source
  std::optional<StopSource> source;
  {
    const std::scoped_lock lock{mutex_};
    heeds_stops_ = true;
    if (is_asked_to_stop_) source = stop_source_;
  }
  if (source) source->request_stop();  // as in raise()
}

inline void Interrupts::ask_to_stop() noexcept {
  std::optional<StopSource> source;
  {
    const std::scoped_lock lock{mutex_};
    is_asked_to_stop_ = true;
    if (heeds_stops_) source = stop_source_;
  }
  if (source) source->request_stop();  // as in raise()
}

inline Waited Interrupts::sleep(OneShot& done, Deadline deadline) noexcept {
  if (is_masked_ || is_unwinding()) {
    return done.sleep(deadline) ? Waited::done : Waited::late;
  }
  {
    const std::scoped_lock lock{mutex_};
    if (reason_) return done.is_set() ? Waited::done : Waited::interrupted;
    sleeping_on_ = &done;
  }
  const bool is_done = done.sleep(deadline);
  const std::scoped_lock lock{mutex_};
  sleeping_on_ = nullptr;
  done.forget_interrupt();
  if (is_done) return Waited::done;
  return reason_ ? Waited::interrupted : Waited::late;
}

}  // namespace genserver::v0
