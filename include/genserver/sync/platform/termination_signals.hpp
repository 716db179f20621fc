// SPDX-License-Identifier: BSL-1.0
// The signals that ask the process to end, as calls on an ordinary thread.
#pragma once

#include <genserver/base/error.hpp>
#include <genserver/sync/platform/process.hpp>
#include <genserver/sync/platform/thread.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <genserver/sync/platform/signal_pipe.hpp>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>
#elif defined(_WIN32)
#include <genserver/sync/platform/windows_api.hpp>
#endif

namespace genserver::inline v0 {

/// Takes over SIGINT and SIGTERM as long as it lives, also where they were ignored, and then gives
/// them back. The signal's handler only writes a byte into a pipe, which a thread of this object
/// reads; so it does not matter what the other threads do, or whether they block the signals.
///
/// A child made by fork() treats them as if this object had never been, and so does who gets one
/// after its end by a handler that was kept. In such a child the destructor stops nothing.
///
/// On Windows: Ctrl-C as SIGINT; Ctrl-Break, the end of the session and the closing of the console
/// as SIGTERM; and what std::raise() sends. Calls come on a thread of the system.
///
/// Threads: any; one object at a time.
class [[gnu::visibility("default")]] TerminationSignals {
 public:
  /// Is told the signal's number, of one signal after the other. What it throws is dropped.
  using OnSignal = std::function<void(int signal)>;

  /// Throws: InvalidArgument if there is such an object already; Forked in a child made by fork();
  ///         std::system_error if the system refuses the thread, or the pipe.
  explicit TerminationSignals(OnSignal on_signal, CallSite site = CallSite::here());
  /// Blocks: until the signals that have come were told. Not in `on_signal`.
  ~TerminationSignals();
  TerminationSignals(const TerminationSignals&) = delete;
  TerminationSignals& operator=(const TerminationSignals&) = delete;

  /// From now on, while there is such an object, a signal ends the process in its handler, whatever
  /// any thread does, `on_signal` included: with status_of(signal), as std::_Exit does.
  static void exit_at_next() noexcept {
    exits_at_next_.store(true, std::memory_order_relaxed);  // publishes nothing
  }

  /// Returns the status with which a process ends that a signal ended, as shells show it.
  [[nodiscard]] static constexpr int status_of(int signal) noexcept { return 128 + signal; }
  [[nodiscard]] static constexpr const char* name_of(int signal) noexcept {
    return signal == SIGINT ? "SIGINT" : "SIGTERM";
  }

 private:
  static constexpr int signals[] = {SIGINT, SIGTERM};

  void install();
  void restore() noexcept;
  void tell(int signal) noexcept {
    try {
      on_signal_(signal);
    } catch (...) {  // nobody is there to receive it
    }
  }
  static void on_signal(int signal) noexcept;

  // What the handlers read; lock-free, so that they may. Relaxed, but for what says otherwise: the
  // system call that installs a handler comes in between, and a handler needs no more than the
  // value itself.
  static inline std::atomic<bool> is_there_{false};  // claims the one place: exchange, acq_rel
  static inline std::atomic<bool> exits_at_next_{false};

  const OnSignal on_signal_;

#if defined(__unix__) || defined(__APPLE__)
  static void hand_on(int signal) noexcept;
  static bool is_installed(int signal) noexcept;
  void run() noexcept;

  static inline std::atomic<pid_t> owner_{0};  // the process whose object it is; 0: there is none
  static inline SignalPipe pipe_{};            // opened by who has the place
  // What was there before; changed only while our handler is not installed.
  static inline struct sigaction before_[2] {};

  const pid_t process_ = ::getpid();
  Thread thread_{};
#else
  using Handler = void (*)(int signal);

  static bool pass_on(int signal) noexcept;

  static std::mutex& telling() {  // held while on_signal_ runs
    static std::mutex& mutex = *new std::mutex;  // never destroyed: handlers may outlive statics
    return mutex;
  }

  static inline TerminationSignals* current_ = nullptr;  // guarded by telling()
  static inline Handler before_[2]{};
#if defined(_WIN32)
  static int __stdcall on_event(platform::windows::Word event) noexcept;
#endif
#endif
};

inline TerminationSignals::TerminationSignals(OnSignal on_signal, CallSite site)
    : on_signal_{std::move(on_signal)} {
  if (is_forked_child()) {
    throw Forked{"SIGINT and SIGTERM were to be taken over at " + to_string(site) +
                 " in a child made by fork()"};
  }
  // Acquire, and release below: one object's use of what is static after another's.
  if (is_there_.exchange(true, std::memory_order_acq_rel)) {
    throw InvalidArgument{"SIGINT and SIGTERM were to be taken over at " + to_string(site) +
                          ", but somebody has them"};
  }
  exits_at_next_.store(false, std::memory_order_relaxed);  // see the members
  try {
    install();
  } catch (...) {
    is_there_.store(false, std::memory_order_release);  // as above
    throw;
  }
}

#if defined(__unix__) || defined(__APPLE__)

inline TerminationSignals::~TerminationSignals() {
  restore();
  if (process_ == ::getpid()) {  // else the pipe and the thread are the parent's
    pipe_.tell_end();
    thread_.join();
  }
  is_there_.store(false, std::memory_order_release);  // see the constructor
}

inline void TerminationSignals::install() {
  watch_for_fork();
  pipe_.open();
  owner_.store(process_, std::memory_order_relaxed);  // see the members
  struct sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (const int signal : signals) sigaddset(&action.sa_mask, signal);
  for (std::size_t i = 0; i < std::size(signals); ++i) {
    // One of ours is there if somebody has put back what he found: then `before_` stays as it is.
    if (!is_installed(signals[i])) ::sigaction(signals[i], &action, &before_[i]);
  }
  try {
    thread_ = Thread{[](void* self) { static_cast<TerminationSignals*>(self)->run(); }, this, 0};
  } catch (...) {
    restore();
    throw;
  }
}

/// Gives back what is still ours.
inline void TerminationSignals::restore() noexcept {
  for (std::size_t i = 0; i < std::size(signals); ++i) {
    if (is_installed(signals[i])) ::sigaction(signals[i], &before_[i], nullptr);
  }
  owner_.store(0, std::memory_order_relaxed);  // see the members
}

inline bool TerminationSignals::is_installed(int signal) noexcept {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 &&
         action.sa_handler == &on_signal;
}

/// Runs on any thread, at any time: async-signal-safe.
inline void TerminationSignals::on_signal(int signal) noexcept {
  const int error = errno;
  // All loads are relaxed: see the members.
  if (owner_.load(std::memory_order_relaxed) != ::getpid()) {
    hand_on(signal);
  } else if (exits_at_next_.load(std::memory_order_relaxed)) {
    ::_exit(status_of(signal));
  } else if (!pipe_.tell(signal)) {
    hand_on(signal);
  }
  errno = error;
}

/// Lets the signal do what it did before, as soon as the handler returns.
inline void TerminationSignals::hand_on(int signal) noexcept {
  ::sigaction(signal, &before_[signal == signals[0] ? 0 : 1], nullptr);
  ::kill(::getpid(), signal);
}

inline void TerminationSignals::run() noexcept {
  name_this_thread("termination");
  // ThreadSanitizer loses a signal that comes while a thread begins its first wait.
  ::poll(nullptr, 0, 0);
  sigset_t ours;
  sigemptyset(&ours);
  for (const int signal : signals) sigaddset(&ours, signal);
  pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);  // somebody has to take them
  while (const int signal = pipe_.next()) tell(signal);  // ended by the destructor
}

#else

inline TerminationSignals::~TerminationSignals() {
  restore();
  is_there_.store(false, std::memory_order_release);  // see the constructor
}

inline void TerminationSignals::install() {
  const std::scoped_lock lock{telling()};
  current_ = this;
#if defined(_WIN32)
  platform::windows::SetConsoleCtrlHandler(&on_event, 1);
#endif
  for (std::size_t i = 0; i < std::size(signals); ++i) {
    before_[i] = std::signal(signals[i], &on_signal);
  }
}

inline void TerminationSignals::restore() noexcept {
  for (std::size_t i = 0; i < std::size(signals); ++i) {
    const Handler found = std::signal(signals[i], before_[i]);
    if (found != &on_signal) std::signal(signals[i], found);  // somebody else's by now
  }
#if defined(_WIN32)
  platform::windows::SetConsoleCtrlHandler(&on_event, 0);
#endif
  exits_at_next_.store(false, std::memory_order_relaxed);  // see the members
  const std::scoped_lock lock{telling()};
  current_ = nullptr;
}

/// Returns false if there is nobody to tell.
inline bool TerminationSignals::pass_on(int signal) noexcept {
  // Relaxed: see the members. Before the lock, which a hanging call holds.
  if (exits_at_next_.load(std::memory_order_relaxed)) std::_Exit(status_of(signal));
  const std::scoped_lock lock{telling()};
  if (current_ == nullptr) return false;
  current_->tell(signal);
  return true;
}

/// Runs on the thread that calls std::raise().
inline void TerminationSignals::on_signal(int signal) noexcept {
  std::signal(signal, &on_signal);  // the handler goes with each signal
  pass_on(signal);
}

#if defined(_WIN32)

/// Runs on a thread that the system makes for it.
inline int TerminationSignals::on_event(platform::windows::Word event) noexcept {
  constexpr platform::windows::Word control_c = 0;
  constexpr platform::windows::Word close = 2;  // and those above it: the system waits no longer
  const bool is_told = pass_on(event == control_c ? SIGINT : SIGTERM);  // than for this function
  while (is_told && event >= close) platform::windows::Sleep(platform::windows::for_ever);
  return is_told ? 1 : 0;
}

#endif
#endif

}  // namespace genserver::v0
