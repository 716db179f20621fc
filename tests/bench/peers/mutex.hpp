// SPDX-License-Identifier: BSL-1.0
// The simplest peer: a state behind a std::mutex.
#pragma once

#include <mutex>
#include <utility>

namespace bench {

/// What a server is when nobody has to be woken: the handler runs on the calling thread.
struct Mutex {
  static constexpr const char* name = "mutex";
  static constexpr bool is_queued = false;  // a cast runs at once

  template <class State>
  class Server {
   public:
    template <class... Args>
    explicit Server(Args&&... args) : state_(std::forward<Args>(args)...) {}

    template <class Handler>
    auto call(Handler&& handler) {
      const std::scoped_lock lock{mutex_};
      return handler(state_);
    }

    template <class Handler>
    void cast(Handler&& handler) {
      const std::scoped_lock lock{mutex_};
      handler(state_);
    }

   private:
    std::mutex mutex_{};
    State state_;  // guarded by mutex_
  };
};

}  // namespace bench
