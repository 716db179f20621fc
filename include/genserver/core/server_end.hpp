// SPDX-License-Identifier: BSL-1.0
// How a server ends: why, when it is over, who is told, and what comes last.
#pragma once

#include <genserver/base/exit_reason.hpp>
#include <genserver/base/message.hpp>
#include <genserver/core/exit_watchers.hpp>
#include <genserver/sync/one_shot.hpp>

#include <atomic>
#include <mutex>
#include <optional>

namespace genserver::inline v0 {

/// The end of one server, as others may ask about it.
///
/// Threads: any, but set_reason(), publish() and do_last() are for who ends the server.
class ServerEnd {
 public:
  /// Says why the server is ending; again, if its end goes wrong.
  void set_reason(const ExitReason& reason) noexcept {
    const std::scoped_lock lock{mutex_};
    reason_ = reason;
  }

  /// Says that everything is over but the thread itself, and tells the watchers; then it is done.
  void publish(const ExitedServer& server) noexcept {
    is_over_.store(true, std::memory_order_release);  // P1
    watchers_.tell(server);
    done_.set();
  }
  [[nodiscard]] bool is_over() const noexcept {
    return is_over_.load(std::memory_order_acquire);  // P1
  }
  /// For who waits until the watchers have been told, too.
  [[nodiscard]] OneShot& done() noexcept { return done_; }

  /// Those who give something back before anyone learns of the end: names, above all.
  [[nodiscard]] ExitWatchers& holders() noexcept { return holders_; }
  /// Those who learn of the end.
  [[nodiscard]] ExitWatchers& watchers() noexcept { return watchers_; }

  /// Returns the reason, once it is over.
  [[nodiscard]] std::optional<ExitReason> reason() const {
    if (!is_over()) return std::nullopt;
    return refusal().reason;
  }
  /// Returns what to say to requests, from the moment on that the server takes no more.
  [[nodiscard]] Refusal refusal() const {
    const std::scoped_lock lock{mutex_};
    return {Refusal::Kind::gone, reason_};
  }

  /// Lets `function(object)` be the last thing that the server's thread does. Returns false if
  /// that comes too late.
  bool set_last(void (*function)(void*), void* object) noexcept {
    const std::scoped_lock lock{mutex_};
    if (is_last_done_) return false;
    last_ = {function, object};
    return true;
  }
  void do_last() {
    Last last;
    {
      const std::scoped_lock lock{mutex_};
      last = last_;
      is_last_done_ = true;
    }
    if (last.function != nullptr) last.function(last.object);
  }

 private:
  struct Last {
    void (*function)(void*) = nullptr;
    void* object = nullptr;
  };

  mutable std::mutex mutex_{};
  // guarded by mutex_:
  ExitReason reason_ = ExitReason::normal();
  Last last_{};
  bool is_last_done_ = false;

  //   P1  publish(): release ──▶ is_over(): acquire      the State is gone, the reason stays
  std::atomic<bool> is_over_{false};
  ExitWatchers holders_{};
  ExitWatchers watchers_{};
  OneShot done_{};
};

}  // namespace genserver::v0
