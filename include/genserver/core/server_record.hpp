// SPDX-License-Identifier: BSL-1.0
// One server as others may see it without asking it.
#pragma once

#include <genserver/base/call_site.hpp>
#include <genserver/base/error.hpp>
#include <genserver/base/pid.hpp>
#include <genserver/base/report.hpp>
#include <genserver/core/server_meter.hpp>
#include <genserver/sync/backtrace.hpp>
#include <genserver/sync/mailbox.hpp>
#include <genserver/sync/parker.hpp>
#include <genserver/sync/platform/cpu.hpp>
#include <genserver/sync/turn_lease.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace genserver::inline v0 {

/// A call site that one thread changes while others read it.
///
/// A reader reads a second word before and after, which the writer changes in between, to know
/// that the parts belong together:
///   P1  store(): release ──▶ load(): acquire      who sees a new part sees that word changed
class SharedCallSite {
 public:
  void store(const CallSite& site) noexcept {
    file_.store(site.file, std::memory_order_release);          // P1
    function_.store(site.function, std::memory_order_release);  // P1
    line_.store(site.line, std::memory_order_release);          // P1
  }
  [[nodiscard]] CallSite load() const noexcept {
    return {file_.load(std::memory_order_acquire),      // P1
            function_.load(std::memory_order_acquire),  // P1
            line_.load(std::memory_order_acquire)};     // P1
  }

 private:
  std::atomic<const char*> file_{""};
  std::atomic<const char*> function_{""};
  std::atomic<unsigned> line_{0};
};

/// A thread that one thread names while others read it.
class SharedThreadRecord {
 public:
  void set(ThreadRecord& thread) noexcept {
    thread_.store(&thread, std::memory_order_release);  // P1
    incarnation_.store(thread.incarnation(), std::memory_order_relaxed);
  }
  /// Returns whether it is this one. Threads: who sets it.
  [[nodiscard]] bool is(const ThreadRecord& thread) const noexcept {
    // Relaxed: what this thread wrote, or one that passed the right to run on to it.
    return thread_.load(std::memory_order_relaxed) == &thread &&
           incarnation_.load(std::memory_order_relaxed) == thread.incarnation();
  }
  void clear() noexcept { thread_.store(nullptr, std::memory_order_relaxed); }  // publishes nothing
  /// Returns its stack, or why there is none. Blocks: up to a second.
  [[nodiscard]] RawStack addresses() const;

 private:
  //   P1  set(): release ──▶ addresses(): acquire; the record may be a new one
  std::atomic<ThreadRecord*> thread_{nullptr};  // never freed
  std::atomic<std::uint64_t> incarnation_{0};   // relaxed: a stale one is noticed
};

/// What does not change while a server lives.
struct ServerIdentity {
  std::string name{};
  Pid pid{};
  std::chrono::nanoseconds stuck_after{};
  const Mailbox* mailbox = nullptr;
};

/// Someone who has been waiting for a server so long that the watchdog should know; lives in the
/// frame of the waiting function.
struct LongWait {
  WaitingCaller caller{};
  std::chrono::steady_clock::time_point since{};
  std::chrono::nanoseconds next_report{};  // guarded by the record's mutex
};

/// The last wait of a server that was reported as part of a circle.
struct ReportedWait {
  std::uint64_t word = 0;
  Pid waiter{};
  Pid target{};
  CallSite site{};

  /// Returns whether the same server waits for the same one at the same place.
  [[nodiscard]] bool is_at_place_of(const ReportedWait& other) const noexcept {
    return waiter == other.waiter && target == other.target && site == other.site;
  }
};

/// One server as the wait graph, the watchdog and snapshots see it.
///
/// Records are type-stable: the directory reuses them, but never frees them, so that a pointer to
/// one may always be followed, whatever became of the server.
class ServerRecord {
 public:
  explicit ServerRecord(std::uint32_t index) noexcept : index_{index} {}

  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }

  /// How far the server's life is.
  enum class Life { starting, serving, stopping, abandoned, gone };

  /// The calling thread begins or ends to run a message from `site`, sent by the server with these
  /// lowest bits of its pid, if any. Only who runs the server calls them. Cost: a few plain stores.
  void begin_message(const CallSite& site, std::uint32_t sender) noexcept;
  void end_message() noexcept;

  /// The turn changes with every begin and end; it is odd while a handler runs.
  [[nodiscard]] std::uint64_t turn() const noexcept {
    return turn_.load(std::memory_order_acquire);  // P1
  }
  [[nodiscard]] CallSite message_site() const noexcept { return message_site_.load(); }
  [[nodiscard]] std::uint32_t message_sender() const noexcept {
    return message_sender_.load(std::memory_order_acquire);  // P1
  }

  [[nodiscard]] ServerMeter& meter() noexcept { return meter_; }
  /// Where the server's thread sleeps when it has nothing to do.
  [[nodiscard]] Parker& parker() noexcept { return parker_; }
  /// Holds the right to run the server between turns of callers.
  [[nodiscard]] TurnLease& lease() noexcept { return lease_; }

  // Relaxed, but for orders: flags that publish nothing.
  [[nodiscard]] Life life() const noexcept { return life_.load(std::memory_order_relaxed); }
  void set_life(Life life) noexcept { life_.store(life, std::memory_order_relaxed); }
  [[nodiscard]] bool is_suspended() const noexcept { return (orders() & suspended) != 0; }
  void set_suspended(bool is_so) noexcept { set_order(suspended, is_so); }
  /// An exit signal has come: no further message is to be handled.
  void set_exiting() noexcept { set_order(exiting, true); }
  [[nodiscard]] bool is_exiting() const noexcept { return (orders() & exiting) != 0; }
  /// Returns whether there is anything to be heeded before the next message.
  [[nodiscard]] bool has_orders() const noexcept { return orders() != 0; }
  void clear_orders() noexcept { orders_.store(0, std::memory_order_relaxed); }
  /// Returns whether somebody wants to know of each message.
  [[nodiscard]] bool is_traced() const noexcept {
    return is_traced_.load(std::memory_order_relaxed);
  }
  void set_traced(bool is_so) noexcept { is_traced_.store(is_so, std::memory_order_relaxed); }

  /// Says since when the edge of the wait graph is there. Threads: who waits.
  void set_wait_since(std::chrono::steady_clock::time_point since) noexcept {
    const auto ticks = since.time_since_epoch().count();
    wait_since_.store(ticks, std::memory_order_release);  // as wait_kind_
  }

  /// The server's end is over: nobody waits for it any more, even if he does not know yet.
  void set_over() noexcept { is_over_.store(true, std::memory_order_seq_cst); }  // as wait_

  [[nodiscard]] bool is_over() const noexcept {
    return is_over_.load(std::memory_order_seq_cst);  // as wait_
  }

  /// Says which thread is the server's own.
  void set_home(ThreadRecord& thread) noexcept {
    home_.set(thread);
    runner_.set(thread);
  }
  /// Says that this thread, which may be a caller's, runs the server's handlers from now on.
  void set_runner(ThreadRecord& thread) noexcept {
    if (!runner_.is(thread)) runner_.set(thread);
  }
  /// Says that this thread, on its processor, runs the server. Called now and then: the system may
  /// move it at any time.
  void note_cpu() noexcept {
    const int cpu = current_cpu();
    // What does not change is not written: callers read it as they spin.
    if (cpu != cpu_.load(std::memory_order_relaxed)) cpu_.store(cpu, std::memory_order_relaxed);
  }
  /// Returns whether who runs the server was last seen on the calling thread's processor, so that
  /// one of the two keeps the other waiting.
  [[nodiscard]] bool is_on_this_cpu() const noexcept {
    const int cpu = cpu_.load(std::memory_order_relaxed);
    return cpu != no_cpu && cpu == current_cpu();
  }
  /// Says that there is no thread yet.
  void clear_threads() noexcept {
    home_.clear();
    runner_.clear();
    cpu_.store(no_cpu, std::memory_order_relaxed);
  }
  /// Returns the stack of the thread that runs a handler of this server, or else of its own.
  /// Blocks: up to a second.
  [[nodiscard]] StackTrace runner_stack() const { return symbolize(runner_addresses()); }
  /// The same without names, which take longer to find than the stack to take. Blocks: as above.
  [[nodiscard]] RawStack runner_addresses() const;

  /// Calls `use(const ServerIdentity&)` under the record's lock, unless the server is gone.
  template <class Use>
  bool with_identity(Use&& use) const;

  /// Calls `use(std::vector<LongWait*>&)` under the record's lock.
  template <class Use>
  void with_long_waits(Use&& use);

 private:
  friend class Directory;
  friend class Waiting;
  friend struct WaitToken;

  static constexpr std::uint32_t suspended = 1;
  static constexpr std::uint32_t exiting = 2;

  [[nodiscard]] std::uint32_t orders() const noexcept {
    return orders_.load(std::memory_order_relaxed);
  }
  void set_order(std::uint32_t order, bool is_so) noexcept {
    if (is_so) {
      orders_.fetch_or(order, std::memory_order_acq_rel);  // P2
    } else {
      orders_.fetch_and(~order, std::memory_order_acq_rel);  // P2
    }
  }

  // As in the mailbox, what every sender reads is on another line than what the runner writes.
  const std::uint32_t index_;
  std::atomic<bool> is_traced_{false};
  std::atomic<Life> life_{Life::starting};
  //   P2  set_order(): release ──▶ set_order(): acquire      who suspends sees what was counted
  //       before the suspension was taken back. Questions are relaxed: answers publish nothing.
  std::atomic<std::uint32_t> orders_{0};  // bits: suspended, exiting
  std::atomic<int> cpu_{no_cpu};          // relaxed: a guess that publishes nothing

  //   P1  begin_message(), end_message(): release ──▶ turn(): acquire      site and sender
  alignas(64) std::atomic<std::uint64_t> turn_{0};
  SharedCallSite message_site_{};
  std::atomic<std::uint32_t> message_sender_{0};  // P1
  SharedThreadRecord runner_{};
  SharedThreadRecord home_{};

  // Used by the wait graph, which explains them.
  std::atomic<std::uint64_t> wait_{0};
  ReportedWait reported_wait_{};
  std::atomic<WaitKind> wait_kind_{WaitKind::call};
  SharedCallSite wait_site_{};
  std::atomic<std::chrono::steady_clock::rep> wait_since_{0};  // 0: since just now
  std::atomic<bool> is_over_{false};

  ServerMeter meter_{};
  Parker parker_{};
  alignas(64) TurnLease lease_{};

  mutable std::mutex mutex_{};
  const ServerIdentity* identity_ = nullptr;  // guarded by mutex_; null: no server
  std::vector<LongWait*> long_waits_{};       // guarded by mutex_
};

inline void ServerRecord::begin_message(const CallSite& site, std::uint32_t sender) noexcept {
  message_site_.store(site);
  message_sender_.store(sender, std::memory_order_release);  // P1
  // The load is relaxed: only who runs the server writes.
  turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // P1
}

inline void ServerRecord::end_message() noexcept {
  // The load is relaxed: only who runs the server writes.
  turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // P1
}

inline RawStack SharedThreadRecord::addresses() const {
  ThreadRecord* const thread = thread_.load(std::memory_order_acquire);  // P1
  if (thread != nullptr) {
    return capture_stack(*thread, incarnation_.load(std::memory_order_relaxed));  // see there
  }
  RawStack none;
  none.note = "no thread has run it yet";
  return none;
}

inline RawStack ServerRecord::runner_addresses() const {
  const bool is_in_handler = turn() % 2 != 0;
  return (is_in_handler ? runner_ : home_).addresses();
}

template <class Use>
bool ServerRecord::with_identity(Use&& use) const {
  const std::scoped_lock lock{mutex_};
  if (identity_ == nullptr) return false;
  use(*identity_);
  return true;
}

template <class Use>
void ServerRecord::with_long_waits(Use&& use) {
  const std::scoped_lock lock{mutex_};
  use(long_waits_);
}

}  // namespace genserver::v0
