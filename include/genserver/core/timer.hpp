// SPDX-License-Identifier: BSL-1.0
// Messages that a server sends to itself later.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/sync/mailbox.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace genserver::inline v0 {

class TimerQueue;

/// One message that is due at some time, once or again and again.
///
/// Its memory is taken when it is made, so that it cannot fail when it is due.
class TimerMessage : public Message, public std::enable_shared_from_this<TimerMessage> {
 public:
  inline void run(void* state) final;
  inline void refuse(const Refusal& refusal) noexcept final;

 protected:
  TimerMessage(const std::shared_ptr<TimerQueue>& queue, std::chrono::nanoseconds period,
               const CallSite& site) noexcept
      : Message{site}, queue_{queue}, period_{period} {}
  virtual ~TimerMessage() = default;

 private:
  friend class TimerQueue;
  friend class Timer;
  using Clock = Deadline::Clock;
  using Entries = std::multimap<Clock::time_point, std::shared_ptr<TimerMessage>>;

  virtual void fire(void* state) = 0;

  enum class Phase { armed, queued, running, ended };

  const std::weak_ptr<TimerQueue> queue_;
  const std::chrono::nanoseconds period_;  // 0: once
  // guarded by the queue's mutex:
  Phase phase_ = Phase::ended;
  Clock::time_point due_{};
  Entries::iterator place_{};            // while armed
  Entries::node_type node_{};            // while queued or running: keeps this message alive
};

/// What one may do with a timer. Dropping it leaves the timer as it is, and keeping it keeps
/// nothing of what the timer holds.
///
/// Threads: any. Erlang: the reference of erlang:send_after/3.
class Timer {
 public:
  Timer() noexcept = default;
  explicit Timer(const std::shared_ptr<TimerMessage>& message) noexcept : message_{message} {}

  /// Sees to it that the handler does not run any more, unless it runs right now. Returns the
  /// time that was left, or nothing if the timer had ended.
  std::optional<std::chrono::nanoseconds> cancel();
  /// Returns the time until it is due; 0 if its handler is about to run; nothing if it has ended.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> remaining() const;
  /// Returns whether its handler is going to run, again if it is running.
  [[nodiscard]] bool is_active() const { return remaining().has_value(); }

 private:
  std::weak_ptr<TimerMessage> message_{};
};

/// The timers of one server, which its thread looks after: no further thread is needed.
///
/// Threads: any, but push_due() is for the server's own.
class TimerQueue {
 public:
  using Clock = Deadline::Clock;

  /// Arms a new timer. Returns whether it is now the first one due, so that the server has to be
  /// woken to wait for less long. A timer of a closed queue has ended.
  bool arm(const std::shared_ptr<TimerMessage>& message, Clock::time_point due);

  /// Returns when the first timer is due. Cost: one load.
  [[nodiscard]] Deadline next_due() const noexcept {
    // Relaxed: the server is woken after a change that makes it earlier; see also take_rearmed().
    return Deadline{Clock::time_point{Clock::duration{first_due_.load(std::memory_order_relaxed)}}};
  }

  /// Pushes what is due, in the order of the due times. Cost: one load if there are no timers.
  void push_due(Mailbox& mailbox) {
    // Relaxed: as next_due().
    if (first_due_.load(std::memory_order_relaxed) != never) push_due(mailbox, Clock::now());
  }
  void push_due(Mailbox& mailbox, Clock::time_point now);

  /// Returns whether a timer was armed again, since it is periodic, after the last question: the
  /// thread may not know of it. Threads: who runs the server.
  bool take_rearmed() noexcept { return std::exchange(is_rearmed_, false); }

  /// Ends all timers, and all later ones at once.
  void close() noexcept;

 private:
  friend class TimerMessage;
  friend class Timer;
  using Phase = TimerMessage::Phase;
  using Entries = TimerMessage::Entries;

  static constexpr Clock::rep never = Clock::duration::max().count();

  std::optional<std::chrono::nanoseconds> remaining(TimerMessage& message, bool cancels);
  [[nodiscard]] bool begin(TimerMessage& message);
  [[nodiscard]] Entries::node_type finish(TimerMessage& message, bool is_refused) noexcept;
  void place(TimerMessage& message, Entries::iterator place) noexcept;
  void note_first() noexcept;

  std::mutex mutex_{};
  Entries entries_{};        // guarded by mutex_
  bool is_closed_ = false;   // guarded by mutex_
  std::atomic<Clock::rep> first_due_{never};  // changed under mutex_
  bool is_rearmed_ = false;                   // who runs the server
};

inline void TimerMessage::run(void* state) {
  const std::shared_ptr<TimerQueue> queue = queue_.lock();
  // A node that is taken out here ends this message, so it comes last.
  if (queue->begin(*this)) fire(state);
  const Entries::node_type last = queue->finish(*this, false);
}

inline void TimerMessage::refuse(const Refusal&) noexcept {
  const std::shared_ptr<TimerQueue> queue = queue_.lock();
  if (queue == nullptr) return;
  const Entries::node_type last = queue->finish(*this, true);
}

inline std::optional<std::chrono::nanoseconds> Timer::cancel() {
  const auto message = message_.lock();
  const auto queue = message ? message->queue_.lock() : nullptr;
  return queue ? queue->remaining(*message, true) : std::nullopt;
}

inline std::optional<std::chrono::nanoseconds> Timer::remaining() const {
  const auto message = message_.lock();
  const auto queue = message ? message->queue_.lock() : nullptr;
  return queue ? queue->remaining(*message, false) : std::nullopt;
}

inline bool TimerQueue::arm(const std::shared_ptr<TimerMessage>& message, Clock::time_point due) {
  const std::scoped_lock lock{mutex_};
  if (is_closed_) return false;
  const auto before = first_due_.load(std::memory_order_relaxed);  // changed under mutex_
  place(*message, entries_.emplace(due, message));
  return due.time_since_epoch().count() < before;
}

inline void TimerQueue::place(TimerMessage& message, Entries::iterator place) noexcept {
  message.due_ = place->first;
  message.phase_ = Phase::armed;
  message.place_ = place;
  note_first();
}

inline void TimerQueue::note_first() noexcept {
  const Clock::rep first =
      entries_.empty() ? never : entries_.begin()->first.time_since_epoch().count();
  first_due_.store(first, std::memory_order_relaxed);  // see next_due()
}

inline void TimerQueue::push_due(Mailbox& mailbox, Clock::time_point now) {
  const std::scoped_lock lock{mutex_};
  while (!entries_.empty() && entries_.begin()->first <= now) {
    TimerMessage& message = *entries_.begin()->second;
    message.node_ = entries_.extract(entries_.begin());
    message.phase_ = Phase::queued;
    mailbox.push(message, false);  // accepted: only the server itself closes it, and not here
  }
  note_first();
}

inline bool TimerQueue::begin(TimerMessage& message) {
  const std::scoped_lock lock{mutex_};
  if (message.phase_ != Phase::queued) return false;  // cancelled meanwhile
  message.phase_ = Phase::running;
  return true;
}

/// Arms a periodic timer again, or returns what keeps the message alive, to be dropped.
inline TimerQueue::Entries::node_type TimerQueue::finish(TimerMessage& message,
                                                         bool is_refused) noexcept {
  const std::scoped_lock lock{mutex_};
  Entries::node_type node = std::move(message.node_);
  const bool goes_on = message.phase_ == Phase::running && message.period_.count() > 0;
  message.phase_ = Phase::ended;
  if (!goes_on || is_refused || is_closed_ || node.empty()) return node;
  // What was missed while the server was busy is left out, so that no burst follows a stall.
  const auto late = Clock::now() - message.due_;
  node.key() = message.due_ + (late / message.period_ + 1) * message.period_;
  place(message, entries_.insert(std::move(node)));
  if (!is_refused) is_rearmed_ = true;
  return {};
}

inline std::optional<std::chrono::nanoseconds> TimerQueue::remaining(TimerMessage& message,
                                                                     bool cancels) {
  Entries::node_type dropped;  // outlives the lock: it may destroy the handler
  const std::scoped_lock lock{mutex_};
  std::optional<std::chrono::nanoseconds> left;
  switch (message.phase_) {
    case Phase::ended: return std::nullopt;
    case Phase::running:
      if (message.period_.count() == 0) return std::nullopt;
      left = std::chrono::nanoseconds::zero();
      break;
    case Phase::queued: left = std::chrono::nanoseconds::zero(); break;
    case Phase::armed: left = message.due_ - Clock::now(); break;
  }
  if (left->count() < 0) left = std::chrono::nanoseconds::zero();
  if (!cancels) return left;
  if (message.phase_ == Phase::armed) {
    dropped = entries_.extract(message.place_);
    note_first();
  }
  message.phase_ = Phase::ended;
  return left;
}

inline void TimerQueue::close() noexcept {
  Entries dropped;  // outlives the lock: it may destroy handlers
  const std::scoped_lock lock{mutex_};
  is_closed_ = true;
  for (auto& [due, message] : entries_) message->phase_ = Phase::ended;
  dropped.swap(entries_);
  note_first();
}

}  // namespace genserver::v0
