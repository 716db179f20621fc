// SPDX-License-Identifier: BSL-1.0
// A thread with a name and a stack of a given size.
#pragma once

#include <genserver/sync/platform/thread_locals.hpp>

#include <cstddef>
#include <string>
#include <system_error>

#if defined(__unix__) || defined(__APPLE__)
#include <climits>
#include <pthread.h>
#include <unistd.h>
#elif defined(__MINGW32__)
#include <genserver/sync/platform/windows_api.hpp>

#include <cerrno>
#include <limits>

#include <pthread.h>
#else
#include <thread>
#endif

namespace genserver::inline v0 {

/// Keeps pthread_cancel from ending the calling thread in code that cannot be unwound; it comes
/// afterwards.
class CancelGuard {
 public:
#if defined(PTHREAD_CANCEL_DISABLE)
  CancelGuard() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~CancelGuard() { pthread_setcancelstate(before_, nullptr); }
#else
  CancelGuard() noexcept {}
  ~CancelGuard() {}
#endif
  CancelGuard(const CancelGuard&) = delete;
  CancelGuard& operator=(const CancelGuard&) = delete;

#if defined(PTHREAD_CANCEL_DISABLE)
 private:
  int before_ = 0;
#endif
};

/// A running thread, which its owner joins or lets go; destroying it does neither.
class Thread {
 public:
  using Function = void (*)(void* argument);

  Thread() noexcept = default;

  /// Starts a thread that runs `function(argument)`. `stack_size` in bytes, 0: the default; it
  /// is rounded up to whole pages and to the least that the system allows.
  ///
  /// Throws: std::system_error if the system refuses the thread or the stack.
  Thread(Function function, void* argument, std::size_t stack_size);

  /// Waits until the thread has ended. Blocks: until then. Not on the thread itself.
  void join();
  /// Lets the thread run on its own.
  void detach();
  [[nodiscard]] bool is_joinable() const noexcept { return joinable_; }

 private:
#if defined(__unix__) || defined(__APPLE__) || defined(__MINGW32__)
  pthread_t thread_{};
#else
  std::thread thread_{};
#endif
  bool joinable_ = false;
};

#if defined(__unix__) || defined(__APPLE__) || defined(__MINGW32__)

namespace detail {

struct ThreadStart {
  Thread::Function function;
  void* argument;
};

inline void* thread_entry(void* start) {
  const ThreadStart copy = *static_cast<ThreadStart*>(start);
  delete static_cast<ThreadStart*>(start);
  copy.function(copy.argument);
  return nullptr;
}

#if defined(__MINGW32__)

// By winpthreads, as std::thread: a thread made otherwise destroys its thread_local objects under
// the loader's lock. The system rounds the size, which it takes as a number of 32 bits.
inline int set_stack_size(pthread_attr_t& attributes, std::size_t size) noexcept {
  const bool is_allowed = size <= std::numeric_limits<unsigned>::max();
  return is_allowed ? pthread_attr_setstacksize(&attributes, size) : EINVAL;
}

#else

inline std::size_t allowed_stack_size(std::size_t wanted) noexcept {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const long configured = ::sysconf(_SC_THREAD_STACK_MIN);
  const std::size_t least = configured > 0 ? static_cast<std::size_t>(configured) : 16384;
  const std::size_t size = wanted < least ? least : wanted;
  return size > static_cast<std::size_t>(-1) - page ? size : (size + page - 1) / page * page;
}

inline int set_stack_size(pthread_attr_t& attributes, std::size_t size) noexcept {
  return pthread_attr_setstacksize(&attributes, allowed_stack_size(size));
}

#endif

}  // namespace detail

inline Thread::Thread(Function function, void* argument, std::size_t stack_size) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  int error = 0;
  if (stack_size != 0) {
    error = detail::set_stack_size(attributes, stack_size);
  }
  auto* start = new detail::ThreadStart{function, argument};
  if (error == 0) error = pthread_create(&thread_, &attributes, &detail::thread_entry, start);
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    delete start;
    throw std::system_error{error, std::generic_category(), "the system refuses a thread"};
  }
  joinable_ = true;
}

inline void Thread::join() {
  joinable_ = false;
  pthread_join(thread_, nullptr);
}

inline void Thread::detach() {
  joinable_ = false;
  pthread_detach(thread_);
}

#else

inline Thread::Thread(Function function, void* argument, std::size_t)
    : thread_{function, argument}, joinable_{true} {}

inline void Thread::join() {
  joinable_ = false;
  thread_.join();
}

inline void Thread::detach() {
  joinable_ = false;
  thread_.detach();
}

#endif

/// Names the calling thread for debuggers and `top`; Linux keeps the first 15 bytes, macOS 63.
inline void name_this_thread(const std::string& name) noexcept {
#if defined(__linux__)
  char kept[16] = {};
  name.copy(kept, sizeof kept - 1);
  pthread_setname_np(pthread_self(), kept);
#elif defined(__APPLE__)
  char kept[64] = {};  // a longer one would be refused
  name.copy(kept, sizeof kept - 1);
  pthread_setname_np(kept);
#elif defined(__MINGW32__)
  using namespace platform::windows;
  using Describe = long __stdcall(Handle thread, const wchar_t* description);
  static const auto describe = find_function<Describe>("SetThreadDescription");
  wchar_t wide[64] = {};
  char kept[sizeof wide / sizeof *wide] = {};  // so that it fits: no character gets longer
  name.copy(kept, sizeof kept - 1);
  MultiByteToWideChar(utf8, 0, kept, sizeof kept, wide, sizeof kept);
  if (describe != nullptr) describe(GetCurrentThread(), wide);  // since Windows 10
#else
  static_cast<void>(name);
#endif
}

}  // namespace genserver::v0
