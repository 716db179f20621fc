// SPDX-License-Identifier: BSL-1.0
// The right to a server's insides while the user's code runs.
#pragma once

#include <genserver/sync/platform/process_barrier.hpp>

#include <atomic>
#include <cstdint>

namespace genserver::inline v0 {

/// Says whether who runs a server is in the user's code, where he may stay for ever, and lets one
/// other thread take everything over from him then.
///
///   library ──▶ user ──▶ library        begin(), end()
///
///   free ──▶ claimed ──▶ taken          take(), if it finds `user`
///     ▲         ├──▶ passed ─┐          end(), if it finds `claimed`
///     └─────────┴────────────┘          take(), if it finds `library` or `passed`
///
/// Of one that leaves the user's code and one that takes, at least one sees the other: each writes
/// his own word first and then reads the other's, with a barrier between, which the taker imposes
/// on both. If both do, who changes `claimed` first has it.
///
/// Threads: begin() and end() who runs the server; take() any.
class Custody {
 public:
  /// How the end of the user's code is written: with a ProcessBarrier, a plain store will do.
  enum class Ends { by_store, by_exchange };

  explicit Custody(Ends ends = ProcessBarrier::is_there() ? Ends::by_store
                                                          : Ends::by_exchange) noexcept
      : ends_{ends} {}
  Custody(const Custody&) = delete;
  Custody& operator=(const Custody&) = delete;

  /// The user's code is about to run. Cost: a store.
  void begin() noexcept {
    place_.store(Place::user, std::memory_order_release);  // P1
  }

  /// It has returned. Returns false if the server was taken meanwhile; again and again, then.
  ///
  /// Cost: two loads and a store, or an exchange.
  bool end() noexcept {
    // Relaxed: what the thread itself wrote.
    if (place_.load(std::memory_order_relaxed) == Place::library) return !is_lost_;
    if (ends_ == Ends::by_store) [[likely]] {
      place_.store(Place::library, std::memory_order_relaxed);  // P2
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      place_.exchange(Place::library, std::memory_order_seq_cst);  // P2
    }
    if (claim_.load(std::memory_order_seq_cst) == Claim::free) [[likely]] return true;  // P2
    return end_claimed();
  }
  /// Returns whether end() has found it taken.
  [[nodiscard]] bool is_lost() const noexcept { return is_lost_; }

  /// Takes the server over, if its runner is in the user's code.
  bool take() noexcept;

 private:
  enum class Place : std::uint32_t { library, user };
  enum class Claim : std::uint32_t { free, claimed, passed, taken };

  bool end_claimed() noexcept;

  //   P1  begin(): release ──▶ take(): acquire      everything that who runs the server owns
  //   P2  end(): place_ written, then claim_ read; take(): claim_ written, then place_ read. In the
  //       one order of all sequentially consistent operations one of the two reads comes after the
  //       other's write; where end() has none of them, by the barrier that take() imposes.
  std::atomic<Place> place_{Place::library};  // written by who runs the server
  std::atomic<Claim> claim_{Claim::free};
  bool is_lost_ = false;  // who runs the server
  const Ends ends_;
};

/// Who runs the server has come back while somebody looks whether he does.
inline bool Custody::end_claimed() noexcept {
  Claim seen = Claim::claimed;
  // Relaxed: it decides, and publishes nothing; who has lost reads nothing that the taker wrote.
  claim_.compare_exchange_strong(seen, Claim::passed, std::memory_order_relaxed);
  is_lost_ = seen == Claim::taken;
  return !is_lost_;
}

inline bool Custody::take() noexcept {
  Claim seen = Claim::free;
  if (!claim_.compare_exchange_strong(seen, Claim::claimed, std::memory_order_seq_cst,  // P2
                                      std::memory_order_relaxed)) {
    return false;  // it is taken, or another one is trying
  }
  const bool is_ordered = ends_ == Ends::by_exchange || ProcessBarrier::impose();
  const bool is_in_user =
      is_ordered && place_.load(std::memory_order_seq_cst) == Place::user;  // P1, P2
  seen = Claim::claimed;
  // Relaxed, as in end_claimed(); also the store: it takes nothing back but the claim.
  if (is_in_user &&
      claim_.compare_exchange_strong(seen, Claim::taken, std::memory_order_relaxed)) {
    return true;
  }
  claim_.store(Claim::free, std::memory_order_relaxed);
  return false;
}

}  // namespace genserver::v0
