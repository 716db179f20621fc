// SPDX-License-Identifier: BSL-1.0
// Takes and names the stacks of this process' threads on macOS.
//
// A thread is stopped for as long as it takes to follow its frame pointers, which the system's
// calling conventions demand, some ten microseconds. A library must not be closed (dlclose) while
// its functions are on a stack that is being taken.
#pragma once

#if defined(__APPLE__)

#include <genserver/base/deadline.hpp>
#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/demangled.hpp>
#include <genserver/sync/platform/stack_raw.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>

#include <dlfcn.h>
#include <mach-o/loader.h>
#include <mach/mach.h>
#include <pthread.h>

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
  thread_t thread_ = MACH_PORT_NULL;  // null: not attached; guarded by detail::stopping()
};

namespace detail {

// Held by the one who stops a thread, for as long as it is stopped: two that stop each other would
// both stand still for ever. Never destroyed, as threads may end after the program's statics.
[[gnu::visibility("default")]] inline std::mutex& stopping() {
  static auto& mutex = *new std::mutex;
  return mutex;
}

// Where a thread is; what is not known is zero.
struct StackPlace {
  std::uintptr_t program = 0;
  std::uintptr_t link = 0;  // the register with the return address, on arm64
  std::uintptr_t frame = 0;
};

#if defined(__aarch64__)

// Takes what pointer authentication added off a return address.
inline std::uintptr_t plain_address(std::uintptr_t address) noexcept {
  register std::uintptr_t link __asm__("x30") = address;
  __asm__("hint #7" : "+r"(link));  // xpaclri; does nothing on a processor without it
  return link;
}

inline bool read_place(thread_t thread, StackPlace& place) noexcept {
  arm_thread_state64_t state;
  mach_msg_type_number_t size = ARM_THREAD_STATE64_COUNT;
  if (::thread_get_state(thread, ARM_THREAD_STATE64, reinterpret_cast<thread_state_t>(&state),
                         &size) != KERN_SUCCESS) {
    return false;
  }
  place.program = plain_address(static_cast<std::uintptr_t>(arm_thread_state64_get_pc(state)));
  place.link = plain_address(static_cast<std::uintptr_t>(arm_thread_state64_get_lr(state)));
  place.frame = static_cast<std::uintptr_t>(arm_thread_state64_get_fp(state));
  return true;
}

#else

inline std::uintptr_t plain_address(std::uintptr_t address) noexcept { return address; }

inline bool read_place(thread_t thread, StackPlace& place) noexcept {
  x86_thread_state64_t state;
  mach_msg_type_number_t size = x86_THREAD_STATE64_COUNT;
  if (::thread_get_state(thread, x86_THREAD_STATE64, reinterpret_cast<thread_state_t>(&state),
                         &size) != KERN_SUCCESS) {
    return false;
  }
  place.program = static_cast<std::uintptr_t>(state.__rip);
  place.frame = static_cast<std::uintptr_t>(state.__rbp);
  return true;
}

#endif

// What a frame pointer points to, on both processors.
struct FrameLink {
  std::uintptr_t next;
  std::uintptr_t return_address;
};

// Asks the kernel for it, so that a bad address is an answer and not a crash. Takes no lock and no
// memory: a message to the kernel, by a port that the thread has had since its first.
inline bool read_link(std::uintptr_t frame, FrameLink& link) noexcept {
  vm_size_t size = 0;
  const auto to = reinterpret_cast<vm_address_t>(&link);
  return ::vm_read_overwrite(mach_task_self(), frame, sizeof link, to, &size) == KERN_SUCCESS &&
         size == sizeof link;
}

// Adds the return addresses from the frame at `frame` on. The first frame of a thread has no next.
inline void follow_frames(std::uintptr_t frame, RawStack& stack) noexcept {
  while (stack.count < stack.addresses.size()) {
    FrameLink link{};
    if (frame % sizeof(void*) != 0 || !read_link(frame, link)) return;
    const std::uintptr_t address = plain_address(link.return_address);
    if (address != 0) stack.addresses[stack.count++] = address - 1;
    stack.is_complete = link.next == 0 || address == 0;
    if (stack.is_complete || link.next <= frame) return;  // stacks grow downwards
    frame = link.next;
  }
}

// Calls what is called while a thread is stopped, with no thread: the dynamic linker may bind a
// function at its first call, and the stopped thread may hold the linker's lock.
inline void prepare_stops() {
  static const bool done = [] {
    StackPlace place;
    FrameLink link{};
    static_cast<void>(::thread_suspend(MACH_PORT_NULL));
    static_cast<void>(read_place(MACH_PORT_NULL, place));
    static_cast<void>(read_link(reinterpret_cast<std::uintptr_t>(&place), link));
    static_cast<void>(::thread_resume(MACH_PORT_NULL));
    return true;
  }();
  static_cast<void>(done);
}

inline const void* function_start(std::uintptr_t address) noexcept {
  Dl_info found{};
  return ::dladdr(reinterpret_cast<const void*>(address), &found) == 0 ? nullptr : found.dli_saddr;
}

// A function that has built no frame (yet), as one that makes a system call, has its caller in the
// link register only. After a call that it made itself, the register points into the function.
inline void add_link(const StackPlace& place, RawStack& stack) noexcept {
  const std::uintptr_t caller = place.link - 1;
  if (place.link == 0 || stack.count == 0 || stack.count == stack.addresses.size()) return;
  if (stack.count > 1 && stack.addresses[1] == caller) return;
  if (function_start(caller) == function_start(place.program)) return;
  for (std::size_t index = stack.count++; index > 1; --index) {
    stack.addresses[index] = stack.addresses[index - 1];
  }
  stack.addresses[1] = caller;
}

inline void say_how(const char* how, RawStack& stack) {
  stack.note = how;
  if (stack.is_complete) return;
  const bool is_full = stack.count == stack.addresses.size();
  stack.note += is_full ? ", deeper frames left out" : ", incomplete";
}

}  // namespace detail

inline void ThreadStack::attach() noexcept {
  const std::scoped_lock lock{detail::stopping()};
  thread_ = ::pthread_mach_thread_np(::pthread_self());  // valid as long as the thread lives
}

inline void ThreadStack::detach() noexcept {
  const std::scoped_lock lock{detail::stopping()};
  thread_ = MACH_PORT_NULL;
}

__attribute__((noinline)) inline RawStack ThreadStack::capture_own() noexcept {
  RawStack stack;
  try {
    detail::follow_frames(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), stack);
    detail::say_how("taken by the thread itself", stack);
  } catch (...) {
    stack.count = 0;  // no memory; there is nobody to tell it
  }
  return stack;
}

inline RawStack ThreadStack::capture(Deadline) {
  RawStack stack;
  detail::StackPlace place;
  bool is_read = false;
  detail::prepare_stops();
  {
    const std::scoped_lock lock{detail::stopping()};
    if (thread_ == MACH_PORT_NULL || ::thread_suspend(thread_) != KERN_SUCCESS) {
      stack.note = "not stopped: the thread is ending";
      return stack;
    }
    // From here to thread_resume() nothing may take a lock or memory: the thread may hold the lock.
    is_read = detail::read_place(thread_, place);
    if (is_read) {
      stack.addresses[stack.count++] = place.program;
      detail::follow_frames(place.frame, stack);
    }
    static_cast<void>(::thread_resume(thread_));
  }
  if (is_read) {
    detail::add_link(place, stack);
    detail::say_how("taken while the thread was stopped", stack);
  } else {
    stack.note = "the system does not tell the thread's registers";
  }
  return stack;
}

namespace detail {

// Returns the address for which the image was linked: where its file says that its text begins.
inline std::uintptr_t linked_address(const void* image) noexcept {
  const auto* header = static_cast<const mach_header_64*>(image);
  if (header->magic != MH_MAGIC_64) return 0;
  const auto* place = static_cast<const char*>(image) + sizeof *header;
  for (std::uint32_t index = 0; index < header->ncmds; ++index) {
    load_command command{};
    std::memcpy(&command, place, sizeof command);
    if (command.cmd == LC_SEGMENT_64) {
      segment_command_64 segment{};
      std::memcpy(&segment, place, sizeof segment);
      if (std::strncmp(segment.segname, SEG_TEXT, sizeof segment.segname) == 0) {
        return static_cast<std::uintptr_t>(segment.vmaddr);
      }
    }
    place += command.cmdsize;
  }
  return 0;
}

// The offset is one that `atos -o FILE ADDRESS` takes.
inline void name_frame(Frame& frame) {
  Dl_info found{};
  if (::dladdr(reinterpret_cast<const void*>(frame.address), &found) == 0) return;
  const std::string_view path = found.dli_fname != nullptr ? found.dli_fname : "";
  frame.module = path.substr(path.find_last_of('/') + 1);
  frame.offset = frame.address - reinterpret_cast<std::uintptr_t>(found.dli_fbase) +
                 linked_address(found.dli_fbase);
  if (found.dli_sname != nullptr) frame.function = demangled(found.dli_sname);
}

}  // namespace detail

/// Returns the frames with the names that can be found. Blocks: as dladdr, which takes the dynamic
/// linker's lock.
inline StackTrace named(const RawStack& stack) {
  StackTrace trace;
  trace.note = stack.note;
  trace.frames.reserve(stack.count);
  for (std::size_t index = 0; index < stack.count; ++index) {
    Frame& frame = trace.frames.emplace_back();
    frame.address = stack.addresses[index];
    detail::name_frame(frame);
  }
  return trace;
}

}  // namespace genserver::v0::platform

#endif
