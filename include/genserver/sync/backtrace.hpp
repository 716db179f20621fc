// SPDX-License-Identifier: BSL-1.0
// Backtraces of any thread of this process that has made itself known.
#pragma once

#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/stack.hpp>
#include <genserver/sync/platform/stack_raw.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <new>

namespace genserver::inline v0 {

class ThreadRecord;

/// Takes the stack of a thread.
///
/// A thread that sleeps in the kernel does not notice. A running one is interrupted by a real-time
/// signal, with SA_RESTART. If it falls asleep or wakes up in just this moment, these may return
/// EINTR: poll, select, epoll_wait, nanosleep, usleep, pause, sigsuspend, sigtimedwait, msgrcv,
/// msgsnd, semop, io_getevents and their variants, and with a time limit sem_timedwait, a raw futex
/// and sockets (SO_RCVTIMEO, SO_SNDTIMEO); sleep() returns early. What waits in std or pthread goes
/// on waiting. A sleeping thread is asked by signal too if the kernel tells too little (code
/// without unwind tables, valgrind), unless its call is one of the first twelve; without /proc all
/// are asked.
///
/// Never throws for what the thread does: the note says why a stack is missing. Do not dlclose code
/// that may be on the stack. If gdb stops at the signal: `handle SIG44 nostop noprint pass`.
///
/// Blocks:  until the thread has answered, or `timeout`, once for each requester ahead.
/// Threads: any, the thread itself included.
/// Cost:    50 us, for a running thread once it has a processor.
inline RawStack capture_stack(ThreadRecord& thread, std::uint64_t incarnation,
                              std::chrono::nanoseconds timeout = std::chrono::seconds{1});

/// A thread as others can see it.
///
/// Made at a thread's first use of current(), given back at its exit and then used for another
/// thread, but never freed: a pointer to one may always be followed. Who keeps a pointer keeps
/// the incarnation with it, by which a stale one is noticed.
///
///   retired ──▶ of a thread ──▶ retired ──▶ of another thread ...
///
/// Threads: any.
class ThreadRecord {
 public:
  /// Returns the calling thread's. In what runs after the thread gave it back (destructors of
  /// thread_local objects made earlier) it is one record, always retired, that such threads share.
  ///
  /// Cost: one thread-local read, but for a thread's first call.
  static ThreadRecord& current() noexcept {
    ThreadRecord* record = current_;
    return record != nullptr ? *record : register_thread();
  }

  /// Returns a number that changes whenever the record goes to another thread; odd while it
  /// belongs to one, even while it is retired.
  [[nodiscard]] std::uint64_t incarnation() const noexcept {
    // Relaxed: a hint for others, who look again under mutex_; the thread itself sees its own.
    return incarnation_.load(std::memory_order_relaxed);
  }

 private:
  friend RawStack capture_stack(ThreadRecord&, std::uint64_t, std::chrono::nanoseconds);
  struct Free;
  struct ExitGuard;

  ThreadRecord() noexcept = default;

  [[gnu::visibility("default")]] static ThreadRecord& register_thread() noexcept;
  [[gnu::visibility("default")]] static Free& free_records();
  [[gnu::visibility("default")]] static ThreadRecord& retired();
  void retire() noexcept;
  RawStack capture(std::uint64_t incarnation, std::chrono::nanoseconds timeout);

  // Null before the first use. A constant, so that reading it needs no guard.
  [[gnu::visibility("default")]] static inline thread_local constinit ThreadRecord* current_ =
      nullptr;

  // Held by one requester at a time for as long as it asks, and by the thread while it begins or
  // ends: under it the thread is there and its number is not another's.
  std::mutex mutex_{};
  std::atomic<std::uint64_t> incarnation_{0};  // written under mutex_
  platform::ThreadStack stack_{};
  ThreadRecord* next_free_ = nullptr;  // guarded by free_records().mutex
};

namespace detail {

/// A template only so that a program of many files can compile it, and the reader of debug
/// information with it, once: see symbolize().
template <class Stack>
StackTrace symbolized(const Stack& stack) {
  return platform::named(stack);
}

}  // namespace detail

/// Finds functions, files and lines that belong to the addresses; also the functions that were
/// inlined there, as frames of their own.
///
/// Lines and inlined functions need debug information (-g or -g1) in the program, in its .dwo or
/// .dwp files, or in a separate debug file; without it functions are named from the symbol table,
/// and in a stripped program only offsets remain. The note says what is missing.
///
/// Blocks:  while another thread does the same.
/// Cost:    a millisecond when a file is used for the first time, some 70 with 40 MB of debug
///          information; then 0.1 to 5. The file is kept mapped. Each file of a program that
///          includes the library compiles it, a quarter of the whole, unless it says
///          `extern template StackTrace detail::symbolized(const RawStack&);` and one file
///          `template StackTrace detail::symbolized(const RawStack&);`, in namespace genserver.
inline StackTrace symbolize(const RawStack& stack) { return detail::symbolized(stack); }

/// Takes the stack of a thread and names it. Blocks: as capture_stack() and symbolize().
inline StackTrace backtrace(ThreadRecord& thread, std::uint64_t incarnation) {
  return symbolize(capture_stack(thread, incarnation));
}

/// Returns the calling thread's own backtrace. Blocks: as symbolize().
inline StackTrace backtrace() { return symbolize(platform::ThreadStack::capture_own()); }

// The records that belong to no thread.
struct ThreadRecord::Free {
  std::mutex mutex{};
  ThreadRecord* first = nullptr;  // guarded by mutex
};

// Gives the record back when the thread ends.
struct ThreadRecord::ExitGuard {
  ExitGuard() noexcept = default;
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;
  ~ExitGuard() {
    if (record != nullptr) record->retire();
  }

  ThreadRecord* record = nullptr;
};

inline ThreadRecord::Free& ThreadRecord::free_records() {
  static auto& records = *new Free;
  return records;
}

inline ThreadRecord& ThreadRecord::retired() {
  static auto& record = *new ThreadRecord;
  return record;
}

inline ThreadRecord& ThreadRecord::register_thread() noexcept {
  Free& records = free_records();
  ThreadRecord* record = nullptr;
  {
    std::scoped_lock lock{records.mutex};
    record = records.first;
    if (record != nullptr) records.first = record->next_free_;
  }
  if (record == nullptr) record = new (std::nothrow) ThreadRecord;
  if (record == nullptr) return retired();  // no memory: this thread stays unknown

  static thread_local ExitGuard guard;
  guard.record = record;
  retired();  // made now, so that the exit need not
  std::scoped_lock lock{record->mutex_};
  record->stack_.attach();
  record->incarnation_.fetch_add(1, std::memory_order_relaxed);  // read under mutex_
  current_ = record;
  return *record;
}

inline void ThreadRecord::retire() noexcept {
  current_ = &retired();
  stack_.detach();  // before the lock: whoever holds it may wait for this thread's answer
  {
    std::scoped_lock lock{mutex_};
    incarnation_.fetch_add(1, std::memory_order_relaxed);  // read under mutex_
  }
  Free& records = free_records();
  std::scoped_lock lock{records.mutex};
  next_free_ = records.first;
  records.first = this;
}

inline RawStack ThreadRecord::capture(std::uint64_t incarnation, std::chrono::nanoseconds timeout) {
  const auto deadline = Deadline::after(std::max(timeout, std::chrono::nanoseconds{0}));
  std::scoped_lock lock{mutex_};
  const bool is_there = incarnation % 2 == 1 && this->incarnation() == incarnation;
  if (is_there) return stack_.capture(deadline);
  RawStack stack;
  stack.note = "the thread has ended";
  return stack;
}

inline RawStack capture_stack(ThreadRecord& thread, std::uint64_t incarnation,
                              std::chrono::nanoseconds timeout) {
  const bool is_own = &thread == &ThreadRecord::current() && incarnation == thread.incarnation();
  // An own record cannot be given back under way, so no lock; a retired one is nobody's own.
  if (is_own && incarnation % 2 == 1) return platform::ThreadStack::capture_own();
  return thread.capture(incarnation, timeout);
}

}  // namespace genserver::v0
