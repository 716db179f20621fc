// SPDX-License-Identifier: BSL-1.0
// Queues in which the ends of services wait for somebody who wants to know.
#pragma once

#include <genserver/core/handler_wait.hpp>
#include <genserver/otp/condition.hpp>
#include <genserver/otp/service.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace genserver::inline v0 {

/// Keeps the ends of services until they are taken; as on_end of a service or of a runner.
///
///   EndListener ends{16};
///   Runner runner{{.on_end = ends}};
///   …
///   const ServiceEnd first = ends.take();
///
/// A value: copies are the same queue. What comes when it is full is dropped, and counted.
///
/// Threads: any.
class EndListener {
 public:
  /// Throws: InvalidArgument if there is room for nothing.
  explicit EndListener(std::size_t capacity = 16);

  /// Keeps an end. Never waits.
  void operator()(const ServiceEnd& end) const;

  /// Returns the oldest end.
  ///
  /// Blocks: until there is one. Throws: Exit, if the handler that waits gets an exit signal.
  [[nodiscard]] ServiceEnd take() const { return *take(Deadline::never(), {}); }
  /// As take(), also in what it throws. Returns nothing if the time is up.
  [[nodiscard]] std::optional<ServiceEnd> take_for(Timespan timeout) const {
    return take(Deadline::after(timeout), {});
  }
  /// As take(), also in what it throws. Returns nothing if `stop` is requested first.
  [[nodiscard]] std::optional<ServiceEnd> take(const StopToken& stop) const {
    return take(Deadline::never(), stop);
  }
  /// Returns the oldest end, if there is one. Never waits.
  [[nodiscard]] std::optional<ServiceEnd> try_take() const {
    const std::scoped_lock lock{queue_->mutex};
    return queue_->pop();
  }

  /// Returns how many ends wait to be taken.
  [[nodiscard]] std::size_t size() const {
    const std::scoped_lock lock{queue_->mutex};
    return queue_->ends.size();
  }
  /// Returns how many were dropped.
  [[nodiscard]] std::size_t dropped() const {
    const std::scoped_lock lock{queue_->mutex};
    return queue_->dropped;
  }

 private:
  struct Queue {
    explicit Queue(std::size_t room) : capacity{room} {}
    /// Under the mutex.
    std::optional<ServiceEnd> pop() {
      if (ends.empty()) return std::nullopt;
      std::optional<ServiceEnd> end{std::move(ends.front())};
      ends.pop_front();
      return end;
    }

    const std::size_t capacity;
    std::mutex mutex{};
    // guarded by mutex:
    std::deque<ServiceEnd> ends{};
    std::size_t dropped = 0;
    Condition news{};
  };

  std::optional<ServiceEnd> take(Deadline deadline, const StopToken& stop) const;

  std::shared_ptr<Queue> queue_;
};

/// As EndListener, but keeps only failures: ends whose reason is abnormal, also of services that
/// were asked to halt and threw.
class FailureListener : public EndListener {
 public:
  using EndListener::EndListener;

  void operator()(const ServiceEnd& end) const {
    if (end.reason.is_abnormal()) EndListener::operator()(end);
  }
};

inline EndListener::EndListener(std::size_t capacity) : queue_{std::make_shared<Queue>(capacity)} {
  if (capacity == 0) throw InvalidArgument{"a listener of ends needs room for at least one"};
}

inline void EndListener::operator()(const ServiceEnd& end) const {
  const std::scoped_lock lock{queue_->mutex};
  if (queue_->ends.size() == queue_->capacity) {
    ++queue_->dropped;
    return;
  }
  queue_->ends.push_back(end);
  queue_->news.notify_all();
}

inline std::optional<ServiceEnd> EndListener::take(Deadline deadline, const StopToken& stop) const {
  const std::shared_ptr<Queue> queue = queue_;
  std::unique_lock lock{queue->mutex};
  const Waited waited =
      queue->news.wait(lock, deadline, stop, [&] { return !queue->ends.empty(); });
  if (waited == Waited::done) return queue->pop();
  lock.unlock();
  if (waited == Waited::interrupted) check_exit();
  return std::nullopt;
}

}  // namespace genserver::v0
