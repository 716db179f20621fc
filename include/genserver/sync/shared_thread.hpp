// SPDX-License-Identifier: BSL-1.0
// A thread that anybody may join.
#pragma once

#include <genserver/sync/platform/thread.hpp>

#include <cstddef>
#include <mutex>

namespace genserver {

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

  /// Blocks: until the thread has ended, unless it was detached. Not on the thread itself.
  void join() noexcept {
    const std::scoped_lock lock{mutex_};
    if (thread_.is_joinable()) thread_.join();
  }

  /// Lets it go; for the thread itself. Does nothing if another is about to join it.
  void detach() noexcept {
    const std::unique_lock lock{mutex_, std::try_to_lock};
    if (lock.owns_lock() && thread_.is_joinable()) thread_.detach();
  }

 private:
  std::mutex mutex_{};  // held while joining, so that the others wait for the same end
  Thread thread_{};     // guarded by mutex_
};

}  // namespace genserver
