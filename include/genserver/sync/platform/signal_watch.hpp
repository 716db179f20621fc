// SPDX-License-Identifier: BSL-1.0
// The signals of the operating system, as calls on an ordinary thread.
#pragma once

#include <genserver/sync/platform/process.hpp>
#include <genserver/sync/platform/thread.hpp>

#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <genserver/sync/platform/signal_pipe.hpp>

#include <csignal>
#endif

namespace genserver::inline v0 {

/// Calls functions when signals come, on a thread of its own, so that they may do anything.
///
/// The signal's handler only writes a byte into a pipe, which the thread reads.
///
/// Threads: any. Never destroyed.
class [[gnu::visibility("default")]] SignalWatch {
 public:
  using Function = std::function<void()>;

  static SignalWatch& instance() {
    static SignalWatch& watch = *new SignalWatch;
    return watch;
  }

  /// Calls `function` whenever `signal` comes, instead of what happened until now. What it throws
  /// is dropped. A child made by fork() does nothing when it gets the signal.
  ///
  /// Throws: std::system_error if there is no such signal, it cannot be caught, or the system
  ///         refuses the pipe or the thread; also where there are no such signals.
  void set(int signal, Function function);

 private:
  SignalWatch() = default;

#if defined(__unix__) || defined(__APPLE__)
  void open();
  void run() noexcept;
  void call(int signal) noexcept;
  static void on_signal(int signal) noexcept;

  static inline SignalPipe pipe_{};  // opened under mutex_
  bool is_running_ = false;  // guarded by mutex_
#endif
  std::mutex mutex_{};
  std::map<int, std::shared_ptr<const Function>> functions_{};  // guarded by mutex_
};

#if defined(__unix__) || defined(__APPLE__)

inline void SignalWatch::set(int signal, Function function) {
  watch_for_fork();
  auto next = std::make_shared<const Function>(std::move(function));  // outlives the lock
  const std::scoped_lock lock{mutex_};
  open();
  struct sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  if (::sigaction(signal, &action, nullptr) != 0) {
    throw std::system_error{errno, std::generic_category(),
                            "signal " + std::to_string(signal) + " cannot be watched"};
  }
  functions_[signal].swap(next);
}

inline void SignalWatch::open() {
  pipe_.open();
  if (is_running_) return;
  Thread thread{[](void* watch) { static_cast<SignalWatch*>(watch)->run(); }, this, 0};
  thread.detach();
  is_running_ = true;
}

inline void SignalWatch::on_signal(int signal) noexcept {
  if (!is_forked_child()) pipe_.tell(signal);  // there the pipe is the parent's
}

inline void SignalWatch::run() noexcept {
  name_this_thread("signals");
  // For as long as the process lives, or until somebody closes the pipe.
  while (const int signal = pipe_.next()) call(signal);
}

inline void SignalWatch::call(int signal) noexcept {
  std::shared_ptr<const Function> function;
  {
    const std::scoped_lock lock{mutex_};
    if (const auto found = functions_.find(signal); found != functions_.end()) {
      function = found->second;
    }
  }
  try {
    if (function != nullptr && *function) (*function)();
  } catch (...) {  // nobody is there to receive it
  }
}

#else

inline void SignalWatch::set(int signal, Function) {
  throw std::system_error{ENOSYS, std::generic_category(),
                          "signal " + std::to_string(signal) + " cannot be watched"};
}

#endif

}  // namespace genserver::v0
