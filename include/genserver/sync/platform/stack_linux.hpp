// SPDX-License-Identifier: BSL-1.0
// Takes and names the stacks of this process' threads on Linux with glibc.
//
// In three layers: a sleeping thread is read without disturbing it; a running one is asked by a
// signal; of one that cannot answer it is said why. A library must not be closed (dlclose) while
// its functions are on a stack that is being taken.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/cfi_unwind.hpp>
#include <genserver/sync/platform/elf_file.hpp>
#include <genserver/sync/platform/proc_task.hpp>
#include <genserver/sync/platform/stack_raw.hpp>
#include <genserver/sync/platform/stack_signal.hpp>
#include <genserver/sync/platform/stack_snapshot.hpp>
#include <genserver/sync/platform/symbolizer.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace genserver::inline v0::platform {

/// What is needed to take one thread's stack.
///
/// Threads: attach(), detach() and capture_own() by the thread itself; capture() by one other
///          thread at a time, who keeps the thread from ending meanwhile.
class ThreadStack {
 public:
  void attach() noexcept;
  /// Refuses all requests from now on; the one that waits is answered at once.
  void detach() noexcept;

  /// Takes the calling thread's stack.
  static RawStack capture_own() noexcept;
  /// Takes the stack of the thread to which this belongs.
  ///
  /// Blocks:  until the thread has answered or the deadline; not at all if it sleeps.
  RawStack capture(Deadline deadline);

 private:
  bool read_sleeping(RawStack& stack);
  StackRequest::Outcome ask(int signal, Deadline deadline, RawStack& stack);
  std::string why_not(StackRequest::Outcome outcome, int signal) const;
  bool is_deaf(int signal) const;

  int thread_ = 0;
  StackRequest request_{};
};

namespace detail {

inline StackBounds own_stack_bounds() noexcept {
  pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return {};
  void* low = nullptr;
  std::size_t size = 0;
  ::pthread_attr_getstack(&attributes, &low, &size);
  ::pthread_attr_destroy(&attributes);
  const auto start = reinterpret_cast<std::uintptr_t>(low);
  return {start, start + size};
}

inline MainProgram read_main_program() {
  MainProgram program;
  const auto start = static_cast<std::uintptr_t>(::getauxval(AT_PHDR));
  program.headers = reinterpret_cast<const ElfW(Phdr)*>(start);
  program.header_count = start == 0 ? 0 : static_cast<std::size_t>(::getauxval(AT_PHNUM));
  bool has_table = false;
  for (std::size_t index = 0; index < program.header_count; ++index) {
    const ElfW(Phdr)& header = program.headers[index];
    has_table = has_table || header.p_type == PT_GNU_EH_FRAME;
    // The program headers follow the file's header, in the segment that starts with the file.
    if (header.p_type == PT_LOAD && header.p_offset == 0) {
      program.bias = start - sizeof(ElfW(Ehdr)) - header.p_vaddr;
    }
  }
  if (has_table) return program;
  const ElfFile file{"/proc/self/exe"};
  if (const auto frames = file.section_named(".eh_frame")) {
    program.frames_begin = program.bias + frames->sh_addr;
    program.frames_end = program.frames_begin + frames->sh_size;
  }
  return program;
}

// Once, before the first walk.
[[gnu::visibility("default")]] inline void prepare_walks() {
  static const bool prepared = [] {
    main_program.store(new MainProgram{read_main_program()}, std::memory_order_release);  // P1
    // Binds the loader's functions, for which a handler would need 3 KB more of a thread's stack.
    static_cast<void>(find_frame_entry(reinterpret_cast<std::uintptr_t>(&read_main_program)));
    return true;
  }();
  static_cast<void>(prepared);
}

inline bool is_enough(const RawStack& stack) {
  return stack.is_complete || stack.count == stack.addresses.size();
}

inline void take_over(RawStack& stack, const WalkedStack& walked, const char* how) {
  if (walked.count < stack.count) return;  // an earlier try saw more
  std::copy_n(walked.addresses.begin(), walked.count, stack.addresses.begin());
  stack.count = walked.count;
  stack.is_complete = walked.is_complete;
  stack.note = how;
  if (walked.count == stack.addresses.size()) {
    stack.note += ", deeper frames left out";
  } else if (!walked.is_complete) {
    stack.note += ", incomplete";
  }
}

}  // namespace detail

inline void ThreadStack::attach() noexcept {
  thread_ = static_cast<int>(::syscall(SYS_gettid));
  request_.open(detail::own_stack_bounds());
  own_stack_request = &request_;
}

inline void ThreadStack::detach() noexcept {
  own_stack_request = nullptr;
  request_.close();
}

__attribute__((noinline)) inline RawStack ThreadStack::capture_own() noexcept {
  RawStack stack;
  try {
    detail::prepare_walks();
    WalkedStack walked;
    const StackRequest* known = own_stack_request;
    walk_own(known != nullptr ? known->bounds() : StackBounds{}, walked);
    detail::take_over(stack, walked, "taken by the thread itself");
  } catch (...) {
    stack.count = 0;  // no memory; there is nobody to tell it
  }
  return stack;
}

inline RawStack ThreadStack::capture(Deadline deadline) {
  detail::prepare_walks();
  RawStack stack;
  // A walk is short when the signal hits a place whose description is wrong (the end of a throw).
  constexpr int most_answers = 5;
  int answers = 0;
  // Before the time is up the thread may have gone to sleep without answering, so look again;
  // ThreadSanitizer, which defers signals, would otherwise let two who ask each other wait.
  std::chrono::milliseconds patience{20};
  for (;;) {
    if (read_sleeping(stack)) return stack;
    const int signal = stack_signal();
    const auto outcome = ask(signal, Deadline::after(patience).or_earlier(deadline), stack);
    if (outcome == StackRequest::Outcome::answered) {
      if (detail::is_enough(stack) || ++answers == most_answers) return stack;
    } else if (outcome != StackRequest::Outcome::no_answer || deadline.has_passed()) {
      stack.note += (stack.note.empty() ? "" : "; ") + why_not(outcome, signal);
      return stack;
    }
    patience = std::min(2 * patience, std::chrono::milliseconds{1000});
  }
}

inline bool ThreadStack::read_sleeping(RawStack& stack) {
  WalkedStack walked;
  const auto place = walk_sleeping(thread_, request_.bounds().high, walked);
  if (!place) return false;
  detail::take_over(stack, walked, "taken while the thread slept");
  if (detail::is_enough(stack)) return true;
  if (!is_ended_by_signal(place->system_call)) return false;
  stack.note += "; not asked: the signal would end its call";
  return true;
}

inline StackRequest::Outcome ThreadStack::ask(int signal, Deadline deadline, RawStack& stack) {
  if (signal == 0) return StackRequest::Outcome::not_sent;
  if (is_deaf(signal)) return StackRequest::Outcome::blocked;
  WalkedStack walked;
  const auto outcome = request_.ask(thread_, signal, deadline, walked);
  if (outcome == StackRequest::Outcome::answered) {
    detail::take_over(stack, walked, "taken by signal");
  }
  return outcome;
}

// A sleeping thread that blocks the signal will not answer. A running one may just be returning
// from the last handler, which blocks it too; so only a second look decides.
inline bool ThreadStack::is_deaf(int signal) const {
  const std::uint64_t bit = std::uint64_t{1} << (signal - 1);
  for (int looks = 0; looks < 2; ++looks) {
    const auto status = ProcTask{thread_}.status();
    if (!status || status->state == 'R' || (status->blocked_signals & bit) == 0) return false;
    ::sched_yield();
  }
  return true;
}

inline std::string ThreadStack::why_not(StackRequest::Outcome outcome, int signal) const {
  if (signal == 0) return "not asked: no real-time signal is free";
  const ProcTask task{thread_};
  const auto status = task.status();
  const std::uint64_t bit = std::uint64_t{1} << (signal - 1);
  const bool is_blocked = status && (status->blocked_signals & bit) != 0;
  const std::string blocked = "signal " + std::to_string(signal) + " is blocked";
  std::string why;
  switch (outcome) {
    case StackRequest::Outcome::no_answer:
      why = "no answer in time" + (is_blocked ? ": " + blocked : "");
      break;
    case StackRequest::Outcome::blocked: why = "not asked: " + blocked; break;
    case StackRequest::Outcome::refused: why = "not asked: the thread is ending"; break;
    case StackRequest::Outcome::no_room:
      why = "not asked: too many signals are pending (RLIMIT_SIGPENDING)";
      break;
    default: why = "not asked: the system refuses the signal"; break;
  }
  if (!status) return why;
  why += "; state ";
  why += status->state;
  const std::string function = task.kernel_function();
  return function.empty() || function == "0" ? why : why + " in " + function;
}

/// Returns the frames with the names and lines that can be found.
inline StackTrace named(const RawStack& stack) {
  StackTrace trace;
  trace.note = stack.note;
  trace.frames.reserve(2 * stack.count);  // some are inlined
  for (std::size_t index = 0; index < stack.count; ++index) {
    Symbolizer::instance().append(stack.addresses[index], trace);
  }
  return trace;
}

}  // namespace genserver::v0::platform
