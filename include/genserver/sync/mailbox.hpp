// SPDX-License-Identifier: BSL-1.0
// The queue of one server: many senders, one runner, first in first out.
// A little longer than other headers: each step of the protocol has to be read with its partners.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/base/message.hpp>
#include <genserver/sync/platform/cpu.hpp>
#include <genserver/sync/platform/wait.hpp>
#include <genserver/sync/turn_lease.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

namespace genserver::inline v0 {

/// Queues messages for whoever runs the server, and hands out the right to run it.
///
/// One 64-bit word holds who may run, the newest message (each links to the one before), the
/// count of messages that take a place, and whether the mailbox is closed. Pushing is one
/// compare-and-swap; taking everything that is queued is another.
///
///             push ──▶ wake the runner             try_run()
///   idle ───────────────────────────▶ scheduled ─────────────▶ running
///     ▲    (no message, nobody runs)                              │ pop()...
///     └───────────────────────────── rest() ──────────────────────┘
///
/// Between turns that find nothing queued it may stay `running`, and a TurnLease holds the right.
///
/// A mailbox starts as running, for the thread that makes the State. It calls nothing: push()
/// tells when the runner has to be woken, and the caller does it.
///
/// Threads: push(), make_room(), wait_for_room(), size() and is_closed() any; try_run_idle() and
///          try_run() any; the others only who runs.
class Mailbox {
 public:
  enum class Push {
    queued,  ///< Accepted.
    wake,    ///< Accepted, and nobody runs: the runner has to be woken, and try_run() while
             ///< is_held_up().
    full,    ///< Refused: all places are taken.
    closed   ///< Refused for good.
  };

  /// `is_lossy`: evict_oldest() may be used; pop() then costs a mutex.
  Mailbox(std::size_t capacity, bool is_lossy) noexcept
      : capacity_{capacity},
        is_lossy_{is_lossy},
        check_mask_{static_cast<std::uint32_t>(std::bit_floor(capacity / 8 + 1)) - 1} {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Lets `lease` hold the right to run between short turns; before anybody uses the mailbox. It
  /// has to outlive that: who has pushed a message looks there when the message may have been
  /// handled already, and have ended the mailbox.
  void set_lease(TurnLease& lease) noexcept { lease_ = &lease; }

  /// Queues a message. With `is_counted` it takes a place until it is popped, and may find all
  /// taken. Messages pushed by one thread are popped in that order, counted or not.
  Push push(Message& message, bool is_counted) noexcept;

  /// Waits until a place may be free; the caller tries again.
  ///
  /// Blocks: until half of the places are free, the mailbox is closed, the deadline, or for
  ///         `longest`: waking a sender for every single place would cost more than the messages,
  ///         but a free place must not wait for the others to become free.
  void wait_for_room(Deadline deadline, std::chrono::nanoseconds longest = shortest_look) noexcept;
  static constexpr std::chrono::nanoseconds shortest_look = std::chrono::milliseconds{1};

  /// Takes out the oldest message that takes a place, or returns null. Only if lossy.
  Message* evict_oldest() noexcept;

  /// Returns how many of the places are taken.
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// Returns the most places that were ever taken, to within an eighth of the capacity; exact when
  /// a sender found all of them taken.
  [[nodiscard]] std::size_t high_water() const noexcept {
    return std::max(high_water_.load(std::memory_order_relaxed), size());  // only a number
  }
  [[nodiscard]] bool is_full() const noexcept { return size() >= capacity_; }
  [[nodiscard]] bool is_closed() const noexcept;
  /// Returns whether the next push() will have to wake the runner, as far as one can know.
  [[nodiscard]] bool is_idle() const noexcept {
    const Word word = word_.load(std::memory_order_relaxed);  // only a guess
    if (is_idle(word)) return true;
    return newest(word) == nullptr && lease_ != nullptr && lease_->is_ready();
  }

  /// A turn that began when nothing was queued; see rest().
  class Turn {
    friend class Mailbox;
    explicit Turn(std::uint64_t word, bool is_leased) noexcept
        : word_{word}, is_leased_{is_leased} {}
    std::uint64_t word_;
    bool is_leased_;
  };
  /// Begins to run if nobody runs and nothing at all is queued.
  std::optional<Turn> try_run_idle() noexcept;
  /// Begins to run if nobody runs and something is to be done. Ends a lease then, or asks who has
  /// it to do so.
  bool try_run() noexcept;
  /// Returns whether a lease holds the right to run, be it taken or ready.
  [[nodiscard]] bool is_leased() const noexcept { return is_there(lease_); }
  /// Returns whether something is to be done, and a lease keeps others from it: try_run() again.
  [[nodiscard]] bool is_held_up() const noexcept {
    return has_work(word_.load(std::memory_order_relaxed)) && is_leased();  // only a guess
  }
  /// Returns the next message, or null if none is queued.
  Message* pop() noexcept;
  /// Returns whether something was pushed since pop() found nothing; for spinning, so it may miss
  /// what evict_oldest() has moved, but rest() does not.
  [[nodiscard]] bool has_news() const noexcept;
  /// Stops running, if nothing is queued. Returns false, and goes on running, if something is.
  bool rest() noexcept;
  /// As rest(), for a turn in which nothing was popped. Returns false also if a sender waits. After
  /// many such turns it begins a lease.
  ///
  /// Cost: one locked instruction and nothing else; with a lease, a store.
  bool rest(Turn turn) noexcept;
  /// Stops running and leaves what is queued to another runner. Returns whether that one has to
  /// be woken, because something is queued, or because `needs_runner` says so.
  bool hand_over(bool needs_runner) noexcept;
  /// Refuses every later push; what was accepted before is still popped.
  void close() noexcept;

 private:
  using Word = std::uint64_t;

  // The word: bit 0 running, 1 something is kept for the runner beside the chain, 2 closed,
  // 3 a sender waits for room, 4 to 19 how many places were ever taken, modulo 65536, 20 to 63
  // the newest message's address without its four lowest bits, which are 0.
  static constexpr Word running = 1;
  static constexpr Word kept = 2;
  static constexpr Word closed = 4;
  static constexpr Word awaited = 8;
  static constexpr Word one_place = Word{1} << 4;
  static constexpr Word low_bits = (Word{1} << 20) - 1;

  static Message* newest(Word word) noexcept {
    return reinterpret_cast<Message*>(static_cast<std::uintptr_t>(word >> 20 << 4));
  }
  static Word encode(const Message* message) noexcept {
    return static_cast<Word>(reinterpret_cast<std::uintptr_t>(message)) << 16;
  }
  /// Adds one place, in its 16 bits.
  static Word with_place(Word low) noexcept {
    constexpr Word count_bits = low_bits & ~(one_place - 1);
    return (low & ~count_bits) | ((low + one_place) & count_bits);
  }
  /// Returns how many places are taken, if `popped` were given back; both count modulo 65536.
  static std::size_t places(Word word, std::uint32_t popped) noexcept {
    return static_cast<std::uint16_t>((word & low_bits) / one_place - popped);
  }

  static bool has_work(Word word) noexcept {
    return (word & kept) != 0 || newest(word) != nullptr;
  }
  static bool is_idle(Word word) noexcept { return (word & running) == 0 && !has_work(word); }
  bool begin_lease(Word word) noexcept;
  static bool is_there(const TurnLease* lease) noexcept {
    return lease != nullptr && lease->is_there();
  }
  void end_lease() noexcept {
    if (lease_ == nullptr) return;
    if (lease_->is_there()) lease_->end();
    lease_->put_off();
  }
  bool has_room(Word word) noexcept;
  std::uint32_t give_back() noexcept;
  void wake_senders() noexcept;
  void change_room() noexcept;
  void take_chain(Word flag) noexcept;
  Message* pop_kept() noexcept;
  void note_depth(std::size_t depth) noexcept;

  // What both sides read, what senders write, and what the runner writes are on lines of their own:
  // a line that one writes and the other reads costs both sides more than all the rest.

  alignas(64) const std::size_t capacity_;
  TurnLease* lease_ = nullptr;  // null: there is none
  const bool is_lossy_;
  const std::uint32_t check_mask_;  // in a long batch it looks after every eighth of the capacity

  // Every change of word_ is a read-modify-write, so each release heads a release sequence that
  // all later changes continue: an acquire synchronizes with all releases before it.
  //   P1  push(): release ──▶ take_chain(): acquire      the messages' contents
  //   P2  rest(), hand_over(): release ──▶ try_run*(): acquire      State, and the fields below
  //   P3  close(): release ──▶ push(), is_closed(): acquire      why it was closed
  //   P6  push(): release ──▶ push(), size(): acquire      a look at popped_ afterwards is not
  //       older than that of a sender whose place the word counts
  // No wake-up is lost: "nothing queued -> idle" in rest() and "idle -> scheduled" in push() are
  // changes of the same word, and the later of the two sees the other. So are "nothing queued ->
  // leased" in begin_lease() and the change of push(), which then looks whether there is a lease:
  //   P7  begin_lease(): release ──▶ push(): acquire      lease_, at least as it was then
  alignas(64) std::atomic<Word> word_{running};

  // What popped_ was when a sender last looked; older than popped_ or equal, so that it errs on
  // the side of "full", and then the sender looks again. Relaxed: a number that publishes nothing.
  std::atomic<std::uint32_t> popped_seen_{0};

  // Senders sleep on room_ only while the word says `awaited`; who takes that bit away changes
  // room_ and then wakes. A sender reads room_ before it sets the bit, so it does not sleep on.
  // rest() takes it away together with `running`: nobody sleeps while the mailbox is idle.
  //   P4  change_room(): release ──▶ wait_for_room(): acquire
  std::atomic<std::uint32_t> room_{0};

  // How many messages that took a place were ever popped or evicted. Changed by who runs; in a
  // lossy mailbox, by who holds kept_mutex_.
  //   P5  give_back(): release ──▶ has_room(), size(): acquire      a word read afterwards is not
  //       older than the one in which the popped message took its place
  alignas(64) std::atomic<std::uint32_t> popped_{0};

  // The oldest messages, in order; they come before what the word's chain holds. Owned by who
  // runs; in a lossy mailbox, by who holds kept_mutex_.
  MessageList kept_list_{};
  std::mutex kept_mutex_{};

  // Changed by who runs, and by senders who find it full. Relaxed: a number that publishes nothing.
  std::atomic<std::size_t> high_water_{0};
};

inline Mailbox::Push Mailbox::push(Message& message, bool is_counted) noexcept {
  const TurnLease* const lease = lease_;  // afterwards the mailbox may be gone
  message.link().is_counted = is_counted ? 1 : 0;
  Word word = word_.load(std::memory_order_relaxed);  // only a guess for the exchange below
  for (;;) {
    if ((word & closed) != 0) {
      static_cast<void>(word_.load(std::memory_order_acquire));  // P3
      return Push::closed;
    }
    if (is_counted && !has_room(word)) {
      const Word now = word_.load(std::memory_order_acquire);  // P6, so that popped_ is read again
      if (now == word && !has_room(now) &&
          word_.load(std::memory_order_relaxed) == now) {  // P5: nor is popped_ newer than the word
        note_depth(capacity_);
        return Push::full;
      }
      word = now;  // one of the counts had changed before they were compared
      continue;
    }
    message.link().next = newest(word);  // no sender follows it, so it may be reused meanwhile
    const bool has_to_wake = is_idle(word);
    const Word low = word & low_bits;
    const Word changed = (is_counted ? with_place(low) : low) | encode(&message);
    if (word_.compare_exchange_weak(word, changed, std::memory_order_acq_rel,  // P1, P7
                                    std::memory_order_relaxed)) {
      return has_to_wake || is_there(lease) ? Push::wake : Push::queued;
    }
  }
}

/// Returns whether a place is free. Right if the word has not changed since it was read.
inline bool Mailbox::has_room(Word word) noexcept {
  std::uint32_t seen = popped_seen_.load(std::memory_order_relaxed);
  if (places(word, seen) < capacity_) return true;
  const std::uint32_t popped = popped_.load(std::memory_order_acquire);  // P5
  // By exchange, so that a sender that was long away cannot put an old number there.
  popped_seen_.compare_exchange_strong(seen, popped, std::memory_order_relaxed);
  return places(word, popped) < capacity_;
}

inline void Mailbox::wait_for_room(Deadline deadline, std::chrono::nanoseconds longest) noexcept {
  constexpr int looks = 4;  // few: each takes the line away that the runner writes
  constexpr int pauses = 16;
  for (int look = 0; look < looks; ++look) {
    if (!is_full() || is_closed()) return;
    for (int i = 0; i < pauses; ++i) pause_cpu();
  }
  const std::uint32_t before = room_.load(std::memory_order_acquire);  // P4
  // Relaxed: it only announces a sleeper. After a rest(), size() acquires it, and with it popped_.
  word_.fetch_or(awaited, std::memory_order_relaxed);
  if (!is_full() || is_closed()) return;  // a bit left behind costs one needless wake-up
  sleep_while_equal(room_, before, deadline.or_earlier(Deadline::after(longest)));
}

inline void Mailbox::wake_senders() noexcept {
  Word word = word_.load(std::memory_order_relaxed);
  do {  // relaxed: nothing is published
    if ((word & awaited) == 0 || size() > capacity_ / 2) return;
  } while (!word_.compare_exchange_weak(word, word & ~awaited, std::memory_order_relaxed));
  change_room();
}

/// Wakes those who sleep until there is room. Who calls it took `awaited` away, or closed.
inline void Mailbox::change_room() noexcept {
  room_.fetch_add(1, std::memory_order_release);  // P4
  wake_all(&room_);
}

inline std::size_t Mailbox::size() const noexcept {
  for (;;) {  // until popped_ stood still, so that the two numbers belong together
    const std::uint32_t popped = popped_.load(std::memory_order_acquire);  // P5
    const Word word = word_.load(std::memory_order_acquire);  // P6, for the next load
    if (popped != popped_.load(std::memory_order_relaxed)) continue;
    // A sender may know of a place that was given back before we do, and have taken it.
    return std::min(places(word, popped), capacity_);
  }
}

inline bool Mailbox::is_closed() const noexcept {
  return (word_.load(std::memory_order_acquire) & closed) != 0;  // P3
}

inline std::optional<Mailbox::Turn> Mailbox::try_run_idle() noexcept {
  Word word = word_.load(std::memory_order_relaxed);
  if ((word & closed) != 0 || has_work(word)) return std::nullopt;
  if ((word & running) != 0) {  // what came since the look at the word has an order with nothing
    return lease_ != nullptr && lease_->take() ? std::optional{Turn{word, true}} : std::nullopt;
  }
  if (!word_.compare_exchange_strong(word, word | running, std::memory_order_acquire,  // P2
                                     std::memory_order_relaxed)) {
    return std::nullopt;
  }
  return Turn{word, false};
}

inline bool Mailbox::rest(Turn turn) noexcept {
  if (turn.is_leased_) {
    if (lease_->is_revoked()) {
      end_lease();
      return false;
    }
    lease_->put_back();
    return true;
  }
  Word word = turn.word_ | running;  // as it was when the turn began: nothing came since
  if ((word & awaited) != 0) return false;
  if (lease_ != nullptr && lease_->is_due()) [[unlikely]] return begin_lease(word);
  return word_.compare_exchange_strong(word, turn.word_, std::memory_order_release,  // P2
                                       std::memory_order_relaxed);
}

/// Gives the right to run to a lease, unless the word has changed.
inline bool Mailbox::begin_lease(Word word) noexcept {
  lease_->begin();
  if (!word_.compare_exchange_strong(word, word, std::memory_order_release,  // P7
                                     std::memory_order_relaxed)) {
    end_lease();
    return false;
  }
  lease_->put_back();
  return true;
}

inline bool Mailbox::try_run() noexcept {
  Word word = word_.load(std::memory_order_relaxed);
  do {
    if (!has_work(word)) return false;
    if ((word & running) != 0) return lease_ != nullptr && lease_->revoke();
  } while (!word_.compare_exchange_weak(word, word | running, std::memory_order_acquire,  // P2
                                        std::memory_order_relaxed));
  if (lease_ != nullptr) lease_->put_off();
  return true;
}

inline bool Mailbox::has_news() const noexcept {
  return newest(word_.load(std::memory_order_relaxed)) != nullptr;  // take_chain() synchronizes
}

/// Moves what the word's chain holds behind the kept messages, oldest first; sets `flag`.
inline void Mailbox::take_chain(Word flag) noexcept {
  Word word = word_.load(std::memory_order_relaxed);
  do {
    if (newest(word) == nullptr) return;
  } while (!word_.compare_exchange_weak(word, (word & low_bits) | flag,
                                        std::memory_order_acquire,  // P1
                                        std::memory_order_relaxed));
  note_depth(places(word, popped_.load(std::memory_order_relaxed)));  // ours alone to change
  Message* const last = newest(word);
  Message* oldest = nullptr;
  for (Message* message = last; message != nullptr;) {  // newest first: turn it round
    Message* const before = message->link().next;
    message->link().next = oldest;
    oldest = message;
    message = before;
  }
  kept_list_.push_back(*oldest, *last);
}

/// Gives back one place; returns how many were ever given back.
inline std::uint32_t Mailbox::give_back() noexcept {
  // The load is relaxed: only the caller changes it.
  const std::uint32_t popped = popped_.load(std::memory_order_relaxed) + 1;
  popped_.store(popped, std::memory_order_release);  // P5
  return popped;
}

inline Message* Mailbox::pop() noexcept {
  if (!is_lossy_) return pop_kept();
  const std::scoped_lock lock{kept_mutex_};
  return pop_kept();
}

inline Message* Mailbox::pop_kept() noexcept {
  if (kept_list_.is_empty()) {
    wake_senders();
    take_chain(0);
  }
  Message* const message = kept_list_.pop_front();
  if (message != nullptr && message->link().is_counted) {
    const std::uint32_t popped = give_back();
    if ((popped & check_mask_) == 0) {  // in the midst of a long batch
      // With the one that was popped, unless another has its place already.
      note_depth(std::min(size() + 1, capacity_));
      wake_senders();
    }
  }
  return message;
}

inline void Mailbox::note_depth(std::size_t depth) noexcept {
  std::size_t highest = high_water_.load(std::memory_order_relaxed);  // as the store: see there
  while (depth > highest &&
         !high_water_.compare_exchange_weak(highest, depth, std::memory_order_relaxed)) {
  }
}

inline Message* Mailbox::evict_oldest() noexcept {
  const std::scoped_lock lock{kept_mutex_};
  // `kept` keeps the runner from resting on what is moved here behind its back.
  take_chain(kept);
  MessageList passed;  // calls, which take no place and are never evicted
  Message* message = kept_list_.pop_front();
  while (message != nullptr && !message->link().is_counted) {
    passed.push_back(*message);
    message = kept_list_.pop_front();
  }
  kept_list_.push_front(passed);
  if (message != nullptr) give_back();
  return message;
}

inline bool Mailbox::rest() noexcept {
  end_lease();
  std::unique_lock lock{kept_mutex_, std::defer_lock};
  if (is_lossy_) lock.lock();  // so that evict_oldest() cannot put anything there meanwhile
  if (!kept_list_.is_empty()) return false;
  Word word = word_.load(std::memory_order_relaxed);
  do {
    if (newest(word) != nullptr) return false;
    // With `awaited`: no sender may be left asleep who has set it unseen.
  } while (!word_.compare_exchange_weak(word, word & ~(running | kept | awaited),
                                        std::memory_order_release,  // P2
                                        std::memory_order_relaxed));
  if ((word & awaited) != 0) change_room();
  return true;
}

inline bool Mailbox::hand_over(bool needs_runner) noexcept {
  end_lease();
  std::unique_lock lock{kept_mutex_, std::defer_lock};
  if (is_lossy_) lock.lock();
  needs_runner = needs_runner || !kept_list_.is_empty();
  Word word = word_.load(std::memory_order_relaxed);
  Word changed = 0;
  do {
    changed = (word & ~running) | (needs_runner ? kept : 0);
  } while (!word_.compare_exchange_weak(word, changed, std::memory_order_release,  // P2
                                        std::memory_order_relaxed));
  return newest(changed) != nullptr || (changed & kept) != 0;
}

inline void Mailbox::close() noexcept {
  const Word before = word_.fetch_or(closed, std::memory_order_release);  // P3
  if ((before & awaited) != 0) change_room();
}

}  // namespace genserver::v0
