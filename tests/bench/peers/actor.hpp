// SPDX-License-Identifier: BSL-1.0
// The actor that one writes by hand: a thread, a mutex, condition variables, a deque of functions.
#pragma once

#include <bench/peers/promised.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace bench {

/// With a capacity other than 0 its mailbox is bounded: who casts waits for room.
///
/// The server takes all that is queued at once. So it has to be woken only when something comes
/// into an empty mailbox, and whoever waits for room can be woken once for all of it.
template <std::size_t capacity = 0>
struct Actor {
  static constexpr const char* name = capacity == 0 ? "actor" : "actor_bounded";
  static constexpr bool is_queued = true;

  template <class State>
  class Server {
   public:
    template <class... Args>
    explicit Server(Args&&... args)
        : state_(std::forward<Args>(args)...), thread_{[this] { run(); }} {}

    ~Server() {
      cast([this](State&) { is_stopped_ = true; });
      thread_.join();
    }

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    template <class Handler>
    auto call(Handler&& handler) {
      using R = ResultOf<Handler, State>;
      const auto promise = std::make_shared<std::promise<R>>();
      std::future<R> result = promise->get_future();
      cast([promise, &handler](State& state) { keep_promise(*promise, handler, state); });
      return result.get();
    }

    template <class Handler>
    auto async_call(Handler handler) {
      using R = ResultOf<Handler, State>;
      const auto promise = std::make_shared<std::promise<R>>();
      std::future<R> result = promise->get_future();
      cast([promise, handler = std::move(handler)](State& state) mutable {
        keep_promise(*promise, handler, state);
      });
      return result;
    }

    template <class Handler>
    void cast(Handler&& handler) {
      bool was_empty = false;
      {
        std::unique_lock lock{mutex_};
        if constexpr (capacity != 0) {
          ++waiting_;
          room_.wait(lock, [this] { return messages_.size() < capacity; });
          --waiting_;
        }
        was_empty = messages_.empty();
        messages_.emplace_back(std::forward<Handler>(handler));
      }
      if (was_empty) news_.notify_one();
    }

   private:
    void run() {
      Messages taken;
      while (!is_stopped_) {
        bool is_awaited = false;
        {
          std::unique_lock lock{mutex_};
          news_.wait(lock, [this] { return !messages_.empty(); });
          taken.swap(messages_);
          is_awaited = waiting_ > 0;
        }
        if (is_awaited) room_.notify_all();
        for (auto& message : taken) message(state_);
        taken.clear();
      }
    }

    using Messages = std::deque<std::function<void(State&)>>;

    std::mutex mutex_{};
    std::condition_variable news_{};  // messages_ is not empty
    std::condition_variable room_{};  // messages_ is not full
    Messages messages_{};             // guarded by mutex_
    std::size_t waiting_ = 0;         // guarded by mutex_; who waits for room
    bool is_stopped_ = false;         // the thread's own
    State state_;                     // the thread's own
    std::thread thread_;
  };
};

}  // namespace bench
