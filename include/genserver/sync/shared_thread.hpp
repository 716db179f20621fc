// SPDX-License-Identifier: BSL-1.0
// A thread that anybody may join.
#pragma once

#include <genserver/sync/platform/thread.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace genserver::inline v0 {

/// Runs one function, and lets any number of threads wait for its end.
///
/// Threads: any. Destroying it does not wait: join() or detach() comes first.
class SharedThread {
 public:
  /// Starts it. Throws: std::system_error if the system refuses the thread.
  void start(Thread::Function function, void* argument, std::size_t stack_size) {
    const std::scoped_lock lock{mutex_};
    thread_ = Thread{function, argument, stack_size};
  }

  /// For the thread itself, before it does anything else: so that join() knows it.
  void begin() noexcept {
    id_.store(this_thread(), std::memory_order_relaxed);  // only this thread will find its own
  }

  /// Blocks: until the thread has ended, unless it was detached. The thread itself does not wait,
  ///         but lets itself go.
  void join() noexcept {
    if (id_.load(std::memory_order_relaxed) == this_thread()) return detach();  // as above
    const CancelGuard guard;
    std::unique_lock lock{mutex_};
    if (!is_being_joined_ && thread_.is_joinable()) {
      is_being_joined_ = true;
      lock.unlock();  // the thread may want to let itself go, and learn that it cannot
      thread_.join();
      lock.lock();
      is_being_joined_ = false;
      joined_.notify_all();
    }
    joined_.wait(lock, [this] { return !is_being_joined_; });
  }

  /// Returns whether it was neither joined nor let go yet, nor is anyone about to.
  [[nodiscard]] bool is_joinable() noexcept {
    const std::scoped_lock lock{mutex_};
    return !is_being_joined_ && thread_.is_joinable();
  }

  /// Lets it go. Does nothing if another thread is about to join it.
  void detach() noexcept {
    const std::scoped_lock lock{mutex_};
    if (!is_being_joined_ && thread_.is_joinable()) thread_.detach();
  }

 private:
  /// Returns an address that no other living thread has.
  [[gnu::visibility("default")]] static const void* this_thread() noexcept {
    static thread_local const char own = 0;
    return &own;
  }

  std::atomic<const void*> id_{nullptr};
  std::mutex mutex_{};
  std::condition_variable joined_{};
  bool is_being_joined_ = false;  // guarded by mutex_
  Thread thread_{};               // guarded by mutex_, but for the one who joins
};

}  // namespace genserver::v0
