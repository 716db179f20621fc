// SPDX-License-Identifier: BSL-1.0
// Takes the stacks of this process' threads on Windows for x86-64.
//
// A thread is stopped for as long as it takes to copy its registers and its stack, some ten
// microseconds; the copy is walked when it runs again. A library must not be freed (FreeLibrary)
// while its functions are on a stack that is being taken.
#pragma once

#if defined(_WIN32)

#include <genserver/base/deadline.hpp>
#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/stack_raw.hpp>
#include <genserver/sync/platform/thread_locals.hpp>
#include <genserver/sync/platform/windows_api.hpp>
#include <genserver/sync/platform/windows_symbols.hpp>
#include <genserver/sync/platform/windows_walk.hpp>

#include <cstdint>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

namespace genserver::inline v0::platform {

/// What is needed to take one thread's stack.
///
/// Threads: attach(), detach() and capture_own() by the thread itself; capture() by one other
///          thread at a time, who keeps the thread from ending meanwhile.
class ThreadStack {
 public:
  void attach() noexcept;
  /// Refuses all requests from now on. Blocks: while any thread is stopped.
  void detach() noexcept;

  /// Takes the calling thread's stack.
  static RawStack capture_own() noexcept;
  /// Takes the stack of the thread to which this belongs.
  ///
  /// Blocks: while another thread is stopped. The deadline does not matter: the thread itself
  ///         has nothing to do for it.
  RawStack capture(Deadline deadline);

 private:
  const char* copy(ThreadContext& context, std::vector<std::uint64_t>& words, std::uint64_t& size);

  windows::Handle thread_ = nullptr;  // null: not attached; guarded by detail::stopping()
  std::uint64_t high_ = 0;            // the end of the stack, towards which it is popped
  std::uint64_t low_ = 0;
};

namespace windows {

extern "C" {
__declspec(dllimport) Word __stdcall SuspendThread(Handle thread);
__declspec(dllimport) Word __stdcall ResumeThread(Handle thread);
__declspec(dllimport) int __stdcall GetThreadContext(Handle thread, _CONTEXT* context);
}

}  // namespace windows

namespace detail {

// The calling thread's stack. Looked up, as Windows 7 does not have it: there `high` stays 0, and
// no stack is taken.
inline void find_own_stack(std::uint64_t& low, std::uint64_t& high) noexcept {
  using Find = void __stdcall(std::uint64_t * low, std::uint64_t * high);
  static const auto find = windows::find_function<Find>("GetCurrentThreadStackLimits");
  if (find != nullptr) find(&low, &high);
}

// Held by the one who stops a thread, for as long as it is stopped: two that stop each other would
// both stand still for ever. Never destroyed, as threads may end after the program's statics.
inline std::mutex& stopping() {
  static auto& mutex = *new std::mutex;
  return mutex;
}

inline void say_how(const char* how, RawStack& stack) {
  stack.note = how;
  if (stack.is_complete) return;
  const bool is_full = stack.count == stack.addresses.size();
  stack.note += is_full ? ", deeper frames left out" : ", incomplete";
}

}  // namespace detail

inline void ThreadStack::attach() noexcept {
  constexpr windows::Word suspend_resume_and_get_context = 0x0002 | 0x0008;
  const windows::Handle process = windows::GetCurrentProcess();
  // Looked up now, since that takes the loader's lock: a thread that ends may hold it, and wait for
  // who takes its stack.
  detail::Unwinding::instance();
  const std::scoped_lock lock{detail::stopping()};
  detail::find_own_stack(low_, high_);
  // What GetCurrentThread() returns means whoever uses it, so a real one is made of it; if there is
  // none, every capture() is refused.
  windows::DuplicateHandle(process, windows::GetCurrentThread(), process, &thread_,
                           suspend_resume_and_get_context, 0, 0);
}

inline void ThreadStack::detach() noexcept {
  const std::scoped_lock lock{detail::stopping()};
  if (thread_ != nullptr) windows::CloseHandle(thread_);
  thread_ = nullptr;
}

__attribute__((noinline)) inline RawStack ThreadStack::capture_own() noexcept {
  RawStack stack;
  try {
    ThreadContext context;
    windows::RtlCaptureContext(reinterpret_cast<_CONTEXT*>(&context));
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    detail::find_own_stack(low, high);
    walk(context, {low, high, 0}, stack);
    detail::say_how("taken by the thread itself", stack);
  } catch (...) {
    stack.count = 0;  // no memory; there is nobody to tell it
  }
  return stack;
}

inline RawStack ThreadStack::capture(Deadline) {
  RawStack stack;
  std::vector<std::uint64_t> words(8192);  // most stacks are not deeper than 64 KB
  // A walk is short when the thread is just building a frame; the copy may be too small.
  constexpr int most_tries = 5;
  for (int tries = 0; tries < most_tries; ++tries) {
    if (tries > 0) std::this_thread::yield();  // so that it gets on
    ThreadContext context;
    std::uint64_t size = 0;
    if (const char* why_not = copy(context, words, size)) {
      stack.note = why_not;
      return stack;
    }
    if (size > sizeof words[0] * words.size()) {
      words.resize(size / sizeof words[0] + 8192);  // it runs on, and may get deeper
      continue;
    }
    const StackPart part{high_ - size, high_,
                         reinterpret_cast<std::uintptr_t>(words.data()) - (high_ - size)};
    stack = {};
    part.lead(context);
    walk(context, part, stack);
    detail::say_how("taken while the thread was stopped", stack);
    if (stack.is_complete || stack.count == stack.addresses.size()) return stack;
  }
  if (stack.count == 0) stack.note = "its stack grows too fast to be copied";
  return stack;
}

// Copies what is in use of the stack, which is `size` bytes, if there is room for it. Returns why
// not, if the thread cannot be stopped or read.
inline const char* ThreadStack::copy(ThreadContext& context, std::vector<std::uint64_t>& words,
                                     std::uint64_t& size) {
  constexpr windows::Word failed = 0xffffffff;
  const std::scoped_lock lock{detail::stopping()};
  if (thread_ == nullptr) return "the thread is ending";
  context.flags = ThreadContext::wanted;
  if (windows::SuspendThread(thread_) == failed) return "the system refuses to stop the thread";
  // From here to ResumeThread() nothing may take a lock or memory: the thread may hold the lock.
  const char* why_not = nullptr;
  // It also waits until the thread has really stopped.
  if (windows::GetThreadContext(thread_, reinterpret_cast<_CONTEXT*>(&context)) == 0) {
    why_not = "the system does not tell the thread's registers";
  } else {
    const std::uint64_t top = context.registers[ThreadContext::stack];
    if (top < low_ || top >= high_) {
      why_not = "the thread runs on another stack, as of a fiber";
    } else {
      size = high_ - top;
      if (size <= sizeof words[0] * words.size()) {
        std::memcpy(words.data(), reinterpret_cast<const void*>(top), size);
      }
    }
  }
  windows::ResumeThread(thread_);
  return why_not;
}

/// Returns the frames with the names that can be found.
inline StackTrace named(const RawStack& stack) {
  StackTrace trace;
  trace.note = stack.note;
  trace.frames.reserve(stack.count);
  for (std::size_t index = 0; index < stack.count; ++index) {
    Frame& frame = trace.frames.emplace_back();
    frame.address = stack.addresses[index];
    Symbolizer::instance().name(frame);
  }
  return trace;
}

}  // namespace genserver::v0::platform

#endif
