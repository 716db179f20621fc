// SPDX-License-Identifier: BSL-1.0
// Servers made of Boost.Asio: a thread that runs an io_context, and a strand of a thread pool.
#pragma once

#include <bench/peers/promised.hpp>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <future>
#include <thread>
#include <utility>

// In what it instantiates here, Asio compares with 0 where it means a null pointer.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wzero-as-null-pointer-constant"

namespace bench {

/// What both share: a state that is touched by what the executor runs, one after the other.
template <class State, class Executor>
class AsioServer {
 public:
  template <class... Args>
  explicit AsioServer(Executor executor, Args&&... args)
      : executor_{std::move(executor)}, state_(std::forward<Args>(args)...) {}

  /// Runs at once, as dispatch does, on the server's own thread.
  template <class Handler>
  auto call(Handler&& handler) {
    using R = ResultOf<Handler, State>;
    std::promise<R> promise;
    std::future<R> result = promise.get_future();
    boost::asio::dispatch(executor_, [this, &handler, promise = std::move(promise)]() mutable {
      keep_promise(promise, handler, state_);
    });
    return result.get();
  }

  template <class Handler>
  auto async_call(Handler handler) {
    using R = ResultOf<Handler, State>;
    std::promise<R> promise;
    std::future<R> result = promise.get_future();
    boost::asio::post(executor_, [this, handler = std::move(handler),
                                  promise = std::move(promise)]() mutable {
      keep_promise(promise, handler, state_);
    });
    return result;
  }

  template <class Handler>
  void cast(Handler handler) {
    boost::asio::post(executor_, [this, handler = std::move(handler)]() mutable {
      handler(state_);
    });
  }

 private:
  Executor executor_;
  State state_;
};

/// An io_context with a thread of its own.
struct AsioThread {
  static constexpr const char* name = "asio_thread";
  static constexpr bool is_queued = true;

  class Loop {
   protected:
    boost::asio::io_context context_{1};  // run by one thread, used by many
  };

  template <class State>
  class Server : private Loop, public AsioServer<State, boost::asio::io_context::executor_type> {
   public:
    template <class... Args>
    explicit Server(Args&&... args)
        : AsioServer<State, boost::asio::io_context::executor_type>{
              context_.get_executor(), std::forward<Args>(args)...} {}

    ~Server() {
      work_.reset();  // run() returns when nothing is left to do
      thread_.join();
    }

   private:
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        context_.get_executor()};
    std::thread thread_{[this] { context_.run(); }};
  };
};

/// A strand of a pool that all servers share, with as many threads as there are processors.
struct AsioStrand {
  static constexpr const char* name = "asio_strand";
  static constexpr bool is_queued = true;

  using Strand = boost::asio::strand<boost::asio::thread_pool::executor_type>;

  static boost::asio::thread_pool& pool() {
    // Two at least: a handler that waits for another server keeps one.
    static boost::asio::thread_pool threads{std::max(2U, std::thread::hardware_concurrency())};
    return threads;
  }

  template <class State>
  class Server : public AsioServer<State, Strand> {
   public:
    template <class... Args>
    explicit Server(Args&&... args)
        : AsioServer<State, Strand>{Strand{pool().get_executor()}, std::forward<Args>(args)...} {}

    ~Server() {
      this->async_call([](State&) {}).wait();
    }
  };
};

}  // namespace bench

#pragma GCC diagnostic pop
