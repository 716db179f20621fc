// SPDX-License-Identifier: BSL-1.0
// A gate of a test, with which it decides in which order its threads go on.
#pragma once

#include <condition_variable>
#include <mutex>

/// Keeps threads waiting until it is opened, for good.
///
/// Lifetime: it may be destroyed as soon as every wait() has returned.
class Gate {
 public:
  void open() {
    const std::scoped_lock lock{mutex_};
    is_open_ = true;
    opened_.notify_all();  // under the lock, so that who waits cannot destroy it meanwhile
  }

  /// Blocks: until open().
  void wait() {
    std::unique_lock lock{mutex_};
    opened_.wait(lock, [this] { return is_open_; });
  }

  [[nodiscard]] bool is_open() {
    const std::scoped_lock lock{mutex_};
    return is_open_;
  }

 private:
  std::mutex mutex_{};
  std::condition_variable opened_{};
  bool is_open_ = false;  // guarded by mutex_
};
