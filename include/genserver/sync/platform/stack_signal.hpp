// SPDX-License-Identifier: BSL-1.0
// Asks a running thread for its stack by a signal, which the thread answers itself.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/sync/platform/cfi_unwind.hpp>
#include <genserver/sync/platform/cpu_registers.hpp>
#include <genserver/sync/platform/proc_task.hpp>
#include <genserver/sync/platform/stack_memory.hpp>
#include <genserver/sync/platform/wait.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>

#include <csignal>
#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

namespace genserver::inline v0::platform {

// ThreadSanitizer runs handlers later, with the registers of the moment when the signal came: there
// only the stack of the handler itself is true.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool is_signal_deferred = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool is_signal_deferred = true;
#else
inline constexpr bool is_signal_deferred = false;
#endif
#else
inline constexpr bool is_signal_deferred = false;
#endif

/// Where a thread's stack is.
struct StackBounds {
  std::uintptr_t low = 0;
  std::uintptr_t high = 0;

  /// The memory of the calling thread's stack from `pointer` on; on another stack (a fiber, a
  /// signal's) nothing is known to be there.
  [[nodiscard]] StackMemory memory_from(std::uintptr_t pointer) const noexcept {
    const bool is_inside = pointer >= low && pointer < high;
    return is_inside ? StackMemory::living(pointer, high) : StackMemory::living(0, 0);
  }
};

/// Walks the calling thread's own stack.
__attribute__((noinline)) inline void walk_own(const StackBounds& bounds,
                                               WalkedStack& walked) noexcept {
  ucontext_t context;
  ::getcontext(&context);
  const Registers registers = Registers::of(context);
  const auto pointer = static_cast<std::uintptr_t>(registers[Registers::stack]);
  walk_stack(registers, bounds.memory_from(pointer), walked);
}

/// The question and the answer between one requester at a time and one thread.
///
///   idle ──▶ requested ──▶ running ──▶ done ──▶ idle     closed: the thread is ending
///              └── taken back ──▶ idle
class StackRequest {
 public:
  enum class Outcome { answered, no_answer, blocked, refused, no_room, not_sent };

  /// Asks `thread`, to which this belongs, and waits.
  ///
  /// Blocks:  until the answer, the deadline, or close().
  /// Threads: one requester at a time, who also keeps the thread from ending (so that its number
  ///          cannot become another thread's).
  Outcome ask(int thread, int signal, Deadline deadline, WalkedStack& answer);

  /// Opens it for the calling thread.
  void open(const StackBounds& bounds) noexcept {
    bounds_ = bounds;
    is_unanswered_ = false;
    state_.store(idle, std::memory_order_relaxed);  // the requester's lock publishes it
  }
  /// Refuses the running request and each later one. By the thread itself.
  void close() noexcept;

  [[nodiscard]] const StackBounds& bounds() const noexcept { return bounds_; }

  /// Answers, in the signal handler. Async-signal-safe.
  void answer(const ucontext_t& context) noexcept;

 private:
  enum : std::uint32_t { idle, requested, running, done, closed };

  int send(int thread, int signal) noexcept;
  bool is_on_its_way(int thread, int signal);
  bool take_back(std::uint32_t& state) noexcept;

  //   P1  answer(): release store of `done` ──▶ ask(): acquire load
  //       publishes walked_, which only the handler writes, and only while `running`.
  //   P2  ask(): release store of `idle` ──▶ answer(): acquire exchange to `running`
  //       the requester has made walked_, or read it, before it is written again.
  std::atomic<std::uint32_t> state_{closed};
  StackBounds bounds_{};        // written by open(), so read by anyone who may ask
  bool is_unanswered_ = false;  // a signal was sent and not waited for; under the requester's lock
  std::unique_ptr<WalkedStack> walked_{};  // made for the first request: most threads get none
};

/// The calling thread's request, for the signal handler. Constant-initialized, so that the handler
/// runs no initialization.
[[gnu::visibility("default")]] inline thread_local constinit StackRequest*
    own_stack_request = nullptr;

/// Returns the signal that asks for stacks, whose handler is installed; 0 if there is none free.
///
/// It is the first real-time signal from SIGRTMIN + 10 which nobody uses; if someone takes it
/// later, the next free one. The handler is never taken away: the default action would end the
/// program. Threads: any.
[[gnu::visibility("default")]] inline int stack_signal();

namespace detail {

inline void answer_stack_signal(int, siginfo_t* information, void* context) {
  const int saved_error = errno;
  // The thread's own variable comes last: in a library that was loaded later its first use, on a
  // thread that is not known, may allocate.
  void* const asked = information->si_value.sival_ptr;
  const bool is_ours = information->si_code == SI_QUEUE && information->si_pid == ::getpid() &&
                       asked != nullptr && asked == own_stack_request;
  if (is_ours) own_stack_request->answer(*static_cast<const ucontext_t*>(context));
  errno = saved_error;
}

inline bool is_stack_signal(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && (action.sa_flags & SA_SIGINFO) != 0 &&
         action.sa_sigaction == &answer_stack_signal;
}

inline bool install_stack_signal(int signal) {
  if (is_stack_signal(signal)) return true;  // whoever took it has given it back
  struct sigaction action {};
  if (::sigaction(signal, nullptr, &action) != 0) return false;
  if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) return false;
  action = {};
  action.sa_sigaction = &answer_stack_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  // These mean a crash; blocked, they would end the program without the user's crash handler.
  for (int crash : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) {
    sigdelset(&action.sa_mask, crash);
  }
  return ::sigaction(signal, &action, nullptr) == 0;
}

}  // namespace detail

inline int stack_signal() {
  static auto& mutex = *new std::mutex;
  static int chosen = 0;  // guarded by mutex
  std::scoped_lock lock{mutex};
  if (chosen != 0 && detail::is_stack_signal(chosen)) return chosen;
  // SIGRTMAX is left alone: valgrind uses it.
  for (int signal = SIGRTMIN + 10; signal < SIGRTMAX; ++signal) {
    if (detail::install_stack_signal(signal)) return chosen = signal;
  }
  return chosen = 0;
}

inline void StackRequest::answer(const ucontext_t& context) noexcept {
  std::uint32_t expected = requested;
  // P2; fails if the request was taken back: this signal came too late. Relaxed: nothing is read.
  if (!state_.compare_exchange_strong(expected, running, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
    return;
  }
  if constexpr (is_signal_deferred) {
    walk_own(bounds_, *walked_);
  } else {
    const Registers registers = Registers::of(context);
    const auto pointer = static_cast<std::uintptr_t>(registers[Registers::stack]);
    walk_stack(registers, bounds_.memory_from(pointer), *walked_);
  }
  state_.store(done, std::memory_order_release);  // P1
  wake_all(&state_);
}

inline StackRequest::Outcome StackRequest::ask(int thread, int signal, Deadline deadline,
                                               WalkedStack& answer) {
  // Acquire: P1, an answer after the last request was given up; it is dropped.
  std::uint32_t state = state_.load(std::memory_order_acquire);
  // Still in the handler for the last one, which was given up. Ended by answer().
  while (state == running && sleep_while_equal(state_, running, deadline)) {
    state = state_.load(std::memory_order_acquire);  // P1
  }
  if (state == running) return Outcome::no_answer;
  if (state == closed) return Outcome::refused;
  if (walked_ == nullptr) walked_ = std::make_unique<WalkedStack>();
  // Release: P2. Fails only against close(), which `state` then shows.
  if (!state_.compare_exchange_strong(state, requested, std::memory_order_release,
                                      std::memory_order_relaxed)) {
    return Outcome::refused;
  }
  const int error = is_on_its_way(thread, signal) ? 0 : send(thread, signal);
  if (error != 0) {
    take_back(state);
    return error == EAGAIN ? Outcome::no_room : Outcome::not_sent;
  }
  is_unanswered_ = true;
  for (;;) {
    state = state_.load(std::memory_order_acquire);  // P1
    if (state == closed) return Outcome::refused;
    if (state == done) break;
    // Ended by answer() or close(). The handler may be slow, but not for ever.
    if (sleep_while_equal(state_, state, deadline)) continue;
    if (take_back(state)) return state == closed ? Outcome::refused : Outcome::no_answer;
    if (state == running) return Outcome::no_answer;
  }
  is_unanswered_ = false;
  answer = *walked_;
  // P2. A failure means close(): it stays closed, and the answer is good. Relaxed: see there.
  state = done;
  state_.compare_exchange_strong(state, idle, std::memory_order_release,  // P2
                                 std::memory_order_relaxed);
  return Outcome::answered;
}

// Returns an error number, or 0.
inline int StackRequest::send(int thread, int signal) noexcept {
  siginfo_t information{};
  information.si_code = SI_QUEUE;
  information.si_pid = ::getpid();
  information.si_uid = ::getuid();
  information.si_value.sival_ptr = this;
  const long result = ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), thread, signal, &information);
  return result == 0 ? 0 : errno;
}

// The signal of a request that was given up may still be pending, because it is blocked; it does as
// well. Each further one would take from what all of the user's programs share (RLIMIT_SIGPENDING).
inline bool StackRequest::is_on_its_way(int thread, int signal) {
  if (!is_unanswered_) return false;
  const auto status = ProcTask{thread}.status();
  return status && (status->pending_signals >> (signal - 1) & 1U) != 0;
}

// Goes back from `requested` to `idle`; `state` is what it was. False: the handler has begun.
inline bool StackRequest::take_back(std::uint32_t& state) noexcept {
  state = requested;
  // Release: P2, although nothing was read; relaxed: only the caller's next load reads more.
  return state_.compare_exchange_strong(state, idle, std::memory_order_release,
                                        std::memory_order_relaxed) ||
         state == closed;
}

inline void StackRequest::close() noexcept {
  // Acquire and release: this thread's next user writes what a requester has read (P2). No
  // handler is running: it would run on this thread.
  state_.exchange(closed, std::memory_order_acq_rel);
  wake_all(&state_);
}

}  // namespace genserver::v0::platform
