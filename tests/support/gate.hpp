// SPDX-License-Identifier: BSL-1.0
// A gate of a test, with which it decides in which order its threads go on.
#pragma once

#include <condition_variable>
#include <mutex>

/// Keeps threads waiting until it is opened, for good.
///
/// Lifetime: its destructor waits for those who are on their way through.
class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() {
    std::unique_lock lock{mutex_};
    passed_.wait(lock, [this] { return waiting_ == 0; });
  }

  void open() {
    const std::scoped_lock lock{mutex_};
    is_open_ = true;
    opened_.notify_all();  // under the lock, so that who waits cannot destroy it meanwhile
  }

  /// Blocks: until open().
  void wait() {
    std::unique_lock lock{mutex_};
    ++waiting_;
    opened_.wait(lock, [this] { return is_open_; });
    if (--waiting_ == 0) passed_.notify_all();  // under the lock, as above
  }

  [[nodiscard]] bool is_open() {
    const std::scoped_lock lock{mutex_};
    return is_open_;
  }

 private:
  std::mutex mutex_{};
  std::condition_variable opened_{};
  std::condition_variable passed_{};
  // guarded by mutex_:
  bool is_open_ = false;
  int waiting_ = 0;
};
