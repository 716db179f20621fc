// SPDX-License-Identifier: BSL-1.0
// The right to run a mailbox, kept ready for whoever comes next.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace genserver::inline v0 {

/// Makes a turn that finds nothing queued cheaper: between such turns the mailbox goes on saying
/// that it is being run, and the right to do so lies here. To take it costs one locked instruction,
/// and to put it back a store, where a mailbox needs two of the former.
///
///   none ──▶ taken ◀──▶ ready        begin(); put_back(), take()
///     ▲        │          │
///     └────────┴──────────┘          end() by who has taken it, revoke() by anybody
///
/// Nobody looks for messages after put_back(). So who has pushed one, and finds a lease, has to see
/// to it that somebody calls revoke() until it returns true or the lease is gone.
///
/// A lease that soon has to be revoked costs more than it saves, so the next one comes later: after
/// twice as many turns in a row of which each found nothing queued.
///
/// Threads: take(), revoke(), is_there() and is_ready() any; the others who runs the mailbox.
class TurnLease {
 public:
  TurnLease() = default;
  TurnLease(const TurnLease&) = delete;
  TurnLease& operator=(const TurnLease&) = delete;

  /// A new mailbox has none.
  void reset() noexcept {
    turns_ = 0;
    needed_ = least;
    state_.store(none, std::memory_order_relaxed);  // nobody has the mailbox yet
  }

  /// A turn in which nothing was queued is about to end. Returns whether a lease would pay now.
  [[nodiscard]] bool is_due() noexcept { return ++turns_ >= needed_; }
  /// Something was queued, or the server's own thread runs.
  void put_off() noexcept { turns_ = 0; }

  /// The caller has it, so far for himself.
  void begin() noexcept {
    turns_ = 0;
    is_revoked_.store(false, std::memory_order_relaxed);  // see the member
    state_.store(taken, std::memory_order_relaxed);  // see the member
  }
  /// Returns whether it was ready. Whoever pushed before is seen from now on.
  bool take() noexcept {
    std::uint32_t seen = ready;
    return state_.load(std::memory_order_relaxed) == ready &&
           state_.compare_exchange_strong(seen, taken, std::memory_order_acquire,  // P1
                                          std::memory_order_relaxed);
  }
  /// Returns whether somebody who could not have it wants it to end; as far as one can know.
  [[nodiscard]] bool is_revoked() const noexcept {
    return is_revoked_.load(std::memory_order_relaxed);  // see the member
  }
  /// Lets others take it. The caller may touch the mailbox no more.
  void put_back() noexcept {
    ++turns_;
    state_.store(ready, std::memory_order_release);  // P1
  }
  /// Who has taken it runs the mailbox as if there had been none.
  void end() noexcept {
    adapt();
    state_.store(none, std::memory_order_relaxed);  // who takes nothing needs to know nothing
  }

  /// Ends it if it is ready; then the caller runs the mailbox. Otherwise asks who has it.
  bool revoke() noexcept {
    std::uint32_t seen = ready;
    if (state_.compare_exchange_strong(seen, none, std::memory_order_acquire,  // P1
                                       std::memory_order_relaxed)) {
      adapt();
      return true;
    }
    if (seen == taken) is_revoked_.store(true, std::memory_order_relaxed);  // see the member
    return false;
  }

  [[nodiscard]] bool is_there() const noexcept {
    return state_.load(std::memory_order_relaxed) != none;  // see the member
  }
  [[nodiscard]] bool is_ready() const noexcept {
    return state_.load(std::memory_order_relaxed) == ready;  // only a guess
  }

 private:
  enum : std::uint32_t { none, taken, ready };

  static constexpr std::uint32_t least = 64;
  static constexpr std::uint32_t most = 1 << 16;
  static constexpr std::uint32_t pays = 1024;  // turns in which it saves what its end costs

  void adapt() noexcept {
    needed_ = turns_ < pays ? std::min(needed_ * 2, most) : std::max(needed_ / 2, least);
    turns_ = 0;
  }

  //   P1  put_back(): release ──▶ take(), revoke(): acquire      all that who runs the mailbox owns
  // begin() is relaxed: the mailbox publishes it. Who has pushed a message after that, and so does
  // not belong to those whom begin() has to see, finds it here.
  std::atomic<std::uint32_t> state_{none};
  // Relaxed: a wish. Who gives the right back without having seen it leaves it ready to be revoked.
  std::atomic<bool> is_revoked_{false};

  // Owned by who runs the mailbox.
  std::uint32_t turns_ = 0;  // in a row: without a lease, or within it
  std::uint32_t needed_ = least;
};

}  // namespace genserver::v0
