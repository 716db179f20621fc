// SPDX-License-Identifier: BSL-1.0
// The numbers of one server: what it has done, and how long that took.
#pragma once

#include <genserver/base/histogram.hpp>
#include <genserver/base/message.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace genserver::inline v0 {

/// How often something happened since the server was started.
struct ServerCounts {
  std::uint64_t handled = 0;     ///< Handlers that were run, however they ended.
  std::uint64_t exceptions = 0;  ///< Handlers, guards and terminate that threw.
  std::uint64_t timed_out = 0;   ///< Calls whose caller left before the answer.
  std::uint64_t refused = 0;     ///< Requests that a full mailbox did not take.
  std::uint64_t dropped = 0;     ///< Requests that a full mailbox gave up for newer ones.
};

/// Counts what a server does, always, and measures how long it takes, for some.
///
/// Reading a clock costs more than a short handler. So of messages that are handled in less than
/// 6 us only as many are measured as keeps the cost below one percent or so, one in 64 at least, at
/// random, and each stands for as many as there are between two on average. A message that finds
/// the server asleep always brings its time of sending along, others once in 64, at random.
///
/// Everything is relaxed: numbers that publish nothing. What only the runner changes, it changes
/// by a load and a store; a measure_next() that falls between the two is lost, and does no harm.
///
/// Threads: begin(), end(), count_handled() and count_exception() who runs the server; others any.
class ServerMeter {
 public:
  using Clock = std::chrono::steady_clock;

  /// A message that is measured, or not.
  struct Measured {
    Clock::time_point began{};
    std::uint32_t weight = 0;  // 0: it is not
  };

  /// A new server has none of this behind it.
  void reset() noexcept;

  /// A message is about to be handled. Cost: a load and a store, but for the few.
  Measured begin(Message& message) noexcept {
    return begin(&message);
  }
  /// The same for a handler that was not sent.
  Measured begin() noexcept { return begin(nullptr); }
  void end(const Measured& message) noexcept {
    if (message.weight != 0) [[unlikely]] end_measured(message);
  }
  /// Something has just taken long, so the clock is read for the next message, out of turn.
  void measure_next() noexcept { countdown_.fetch_or(out_of_turn, std::memory_order_relaxed); }

  void count_handled() noexcept { add_alone(handled_, 1); }
  void count_exception() noexcept { add_alone(exceptions_, 1); }
  void count_timed_out() noexcept { timed_out_.fetch_add(1, std::memory_order_relaxed); }
  void count_refused() noexcept { refused_.fetch_add(1, std::memory_order_relaxed); }
  void count_dropped() noexcept { dropped_.fetch_add(1, std::memory_order_relaxed); }

  [[nodiscard]] ServerCounts counts() const noexcept;
  /// Returns when the server was started.
  [[nodiscard]] Clock::time_point started() const noexcept { return load(started_); }
  /// Returns when the message that runs was taken up, or one of the few before it.
  [[nodiscard]] Clock::time_point message_began() const noexcept { return load(began_); }
  /// Returns how long messages waited in the mailbox, and how long their handlers ran.
  [[nodiscard]] Histogram waiting() const noexcept { return waiting_.load(); }
  [[nodiscard]] Histogram handling() const noexcept { return handling_.load(); }

  /// Decides whether a message that is being sent is measured, and if so, writes the time into it.
  /// Threads: the sender, before the message is pushed.
  static void stamp(Message& message, bool is_server_asleep) noexcept;
  /// Writes the time into a message, whatever it stands for.
  static void stamp(Message& message, std::uint32_t weight) noexcept;
  /// Returns when a message that is measured was sent.
  static Clock::time_point sent_at(Message& message, Clock::time_point now) noexcept;

 private:
  using Time = std::atomic<Clock::rep>;
  using Count = std::atomic<std::uint64_t>;

  static constexpr std::uint32_t one_in = 64;
  static constexpr std::uint32_t out_of_turn = std::uint32_t{1} << 31;  // a bit of countdown_
  static constexpr std::uint64_t stamp_bits = (std::uint64_t{1} << 56) - 1;

  /// Returns a number below 65536. Fixed intervals would fall in step with what is measured.
  ///
  /// Source: the constants of Numerical Recipes' quick generator.
  [[gnu::visibility("default")]] static std::uint32_t random() noexcept {
    static constinit thread_local std::uint32_t last = 1;
    last = last * 1664525U + 1013904223U;
    return last >> 16;
  }

  class SharedHistogram {
   public:
    void reset() noexcept {
      for (Count& count : counts_) count.store(0, std::memory_order_relaxed);
    }
    void add(std::chrono::nanoseconds length, std::uint32_t weight) noexcept {
      add_alone(counts_[Histogram::bucket_of(length)], weight);
    }
    [[nodiscard]] Histogram load() const noexcept;

   private:
    std::array<Count, Histogram::bucket_count> counts_{};
  };

  static void add_alone(Count& count, std::uint64_t more) noexcept {
    count.store(count.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  static Clock::time_point load(const Time& time) noexcept {
    return Clock::time_point{Clock::duration{time.load(std::memory_order_relaxed)}};
  }
  static void store(Time& time, Clock::time_point value) noexcept {
    time.store(value.time_since_epoch().count(), std::memory_order_relaxed);
  }

  static bool is_passed_over(std::uint32_t left) noexcept {
    return left - 2 < out_of_turn - 2;  // from 2 on, and without the bit
  }
  Measured begin(Message* message) noexcept {
    const std::uint32_t left = countdown_.load(std::memory_order_relaxed);
    const bool is_stamped = message != nullptr && message->link().sent_for != 0;
    if (!is_passed_over(left) || is_stamped) [[unlikely]] return begin_measured(message, left);
    countdown_.store(left - 1, std::memory_order_relaxed);
    return {};
  }
  Measured begin_measured(Message* message, std::uint32_t left) noexcept;
  void end_measured(const Measured& message) noexcept;

  std::atomic<std::uint32_t> countdown_{1};  // messages until one is measured, and out_of_turn
  std::uint32_t interval_ = 1;               // the runner's: its mean
  Count handled_{0};
  Count exceptions_{0};
  Count timed_out_{0};
  Count refused_{0};
  Count dropped_{0};
  Time started_{0};
  Time began_{0};
  SharedHistogram waiting_{};
  SharedHistogram handling_{};
};

inline void ServerMeter::reset() noexcept {
  for (Count* const count : {&handled_, &exceptions_, &timed_out_, &refused_, &dropped_}) {
    count->store(0, std::memory_order_relaxed);
  }
  waiting_.reset();
  handling_.reset();
  interval_ = 1;
  countdown_.store(1, std::memory_order_relaxed);
  const Clock::time_point now = Clock::now();
  store(started_, now);
  store(began_, now);
}

inline ServerMeter::Measured ServerMeter::begin_measured(Message* message,
                                                         std::uint32_t left) noexcept {
  const Clock::time_point now = Clock::now();
  store(began_, now);
  if (message != nullptr && message->link().sent_for != 0) {
    waiting_.add(now - sent_at(*message, now), message->link().sent_for);
    message->link().sent_for = 0;  // once, though it may be tried again
  }
  left &= ~out_of_turn;
  if (left > 1) {
    countdown_.store(left - 1, std::memory_order_relaxed);
    return {};
  }
  return {now, interval_};
}

inline void ServerMeter::end_measured(const Measured& message) noexcept {
  constexpr std::chrono::nanoseconds::rep long_enough = 6400;
  const std::chrono::nanoseconds length = Clock::now() - message.began;
  handling_.add(length, message.weight);
  const auto fitting = long_enough / std::max<std::chrono::nanoseconds::rep>(length.count(), 1);
  interval_ = static_cast<std::uint32_t>(
      std::clamp<std::chrono::nanoseconds::rep>(fitting, 1, one_in));
  countdown_.store(1 + random() % (2 * interval_ - 1), std::memory_order_relaxed);
}

inline void ServerMeter::stamp(Message& message, bool is_server_asleep) noexcept {
  const bool is_its_turn = random() % one_in == 0;
  if (is_server_asleep || is_its_turn) [[unlikely]] {
    stamp(message, is_server_asleep ? 1 : one_in);
  }
}

inline void ServerMeter::stamp(Message& message, std::uint32_t weight) noexcept {
  const auto now = static_cast<std::uint64_t>(
      std::chrono::nanoseconds{Clock::now().time_since_epoch()}.count());
  message.link().sent_for = weight & 127U;
  message.link().sent_at = now & stamp_bits;
}

inline ServerMeter::Clock::time_point ServerMeter::sent_at(Message& message,
                                                           Clock::time_point now) noexcept {
  const auto ns =
      static_cast<std::uint64_t>(std::chrono::nanoseconds{now.time_since_epoch()}.count());
  const std::uint64_t ago = (ns - message.link().sent_at) & stamp_bits;
  // Clocks of two processors may differ a little: what was sent later than now was sent now.
  if (ago > stamp_bits / 2) return now;
  return now - std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds{ago});
}

inline ServerCounts ServerMeter::counts() const noexcept {
  ServerCounts counts;
  counts.handled = handled_.load(std::memory_order_relaxed);
  counts.exceptions = exceptions_.load(std::memory_order_relaxed);
  counts.timed_out = timed_out_.load(std::memory_order_relaxed);
  counts.refused = refused_.load(std::memory_order_relaxed);
  counts.dropped = dropped_.load(std::memory_order_relaxed);
  return counts;
}

inline Histogram ServerMeter::SharedHistogram::load() const noexcept {
  Histogram histogram;
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    histogram.add(bucket, counts_[bucket].load(std::memory_order_relaxed));
  }
  return histogram;
}

}  // namespace genserver::v0
