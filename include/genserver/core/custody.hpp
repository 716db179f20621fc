// SPDX-License-Identifier: BSL-1.0
// The right to a server's insides while the user's code runs.
#pragma once

#include <atomic>
#include <cstdint>

namespace genserver {

/// Says whether who runs a server is in the user's code, where he may stay for ever, and lets one
/// other thread take everything over from him then.
///
///   library ──▶ user ──▶ library        begin(), end()
///                 └──▶ taken            take()
///
/// Threads: begin() and end() who runs the server; take() any.
class Custody {
 public:
  /// The user's code is about to run.
  void begin() noexcept {
    is_begun_ = true;
    state_.store(State::user, std::memory_order_release);  // P1
  }

  /// It has returned. Returns false if the server was taken meanwhile; again and again, then.
  bool end() noexcept {
    if (!is_begun_) return !is_lost_;
    is_begun_ = false;
    State expected = State::user;
    // Relaxed: what the thread itself wrote. A failure reads that all is lost, and does nothing.
    is_lost_ = !state_.compare_exchange_strong(expected, State::library,
                                               std::memory_order_relaxed);
    return !is_lost_;
  }
  /// Returns whether end() has found it taken.
  [[nodiscard]] bool is_lost() const noexcept { return is_lost_; }

  /// Takes the server over, if its runner is in the user's code.
  bool take() noexcept {
    State expected = State::user;
    return state_.compare_exchange_strong(expected, State::taken, std::memory_order_acquire,  // P1
                                          std::memory_order_relaxed);
  }

 private:
  enum class State : std::uint32_t { library, user, taken };

  //   P1  begin(): release ──▶ take(): acquire      everything that who runs the server owns
  std::atomic<State> state_{State::library};
  bool is_begun_ = false;  // who runs the server
  bool is_lost_ = false;   // who runs the server
};

}  // namespace genserver
