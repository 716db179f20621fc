// SPDX-License-Identifier: BSL-1.0
// Reads memory that may not be there, or that another thread is using.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace genserver::inline v0::platform {

namespace detail {

// Where a sandbox forbids process_vm_readv. Nothing is kept open: a descriptor would be the user's
// to close, and to inherit.
inline std::size_t copy_from_proc(void* to, std::uintptr_t from, std::size_t size) noexcept {
  const int file =
      static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDONLY | O_CLOEXEC));
  if (file < 0) return 0;
  const long copied = ::syscall(SYS_pread64, file, to, size, from);
  ::syscall(SYS_close, file);
  return copied < 0 ? 0 : static_cast<std::size_t>(copied);
}

}  // namespace detail

/// Copies from this process' memory by way of the kernel, so that a bad address is an answer and
/// not a crash; returns how many bytes there were. Async-signal-safe, but for errno.
inline std::size_t copy_if_mapped(void* to, std::uintptr_t from, std::size_t size) noexcept {
  iovec local{to, size};
  iovec remote{reinterpret_cast<void*>(from), size};
  // Not the libc functions: sanitizers intercept those.
  const long copied = ::syscall(SYS_process_vm_readv, ::getpid(), &local, 1UL, &remote, 1UL, 0UL);
  if (copied >= 0) return static_cast<std::size_t>(copied);
  return errno == EFAULT ? 0 : detail::copy_from_proc(to, from, size);
}

/// Loads a word of a stack that is known to be there. It looks at other functions' variables, so
/// sanitizers must not look at it.
__attribute__((no_sanitize("address", "thread", "undefined"), noinline)) inline std::uint64_t
load_word(std::uintptr_t address) noexcept {
  return *reinterpret_cast<const volatile std::uint64_t*>(address);
}

/// The stack that a walk reads: a copy of it, or the living one of the walking thread.
class StackMemory {
 public:
  /// The calling thread's stack between `low` and `high`; elsewhere (a fiber, an alternative
  /// stack) each word is asked for at the kernel.
  static StackMemory living(std::uintptr_t low, std::uintptr_t high) noexcept {
    return StackMemory{nullptr, low, high};
  }
  /// A copy of `size` bytes that were at `low`; elsewhere each word is asked for at the kernel.
  static StackMemory copied(const std::byte* copy, std::uintptr_t low, std::size_t size) noexcept {
    return StackMemory{copy, low, low + size};
  }

  /// Reads the word at `address`, which need not be aligned; false if it is not there.
  bool read(std::uintptr_t address, std::uint64_t& word) const noexcept {
    const bool inside = address >= low_ && address < high_ && high_ - address >= sizeof word;
    if (inside && copy_ != nullptr) {
      std::memcpy(&word, copy_ + (address - low_), sizeof word);
      return true;
    }
    if (inside && address % sizeof word == 0) {
      word = load_word(address);
      return true;
    }
    return copy_if_mapped(&word, address, sizeof word) == sizeof word;
  }

  [[nodiscard]] std::uintptr_t low() const noexcept { return low_; }
  [[nodiscard]] std::uintptr_t high() const noexcept { return high_; }

 private:
  StackMemory(const std::byte* copy, std::uintptr_t low, std::uintptr_t high) noexcept
      : copy_{copy}, low_{low}, high_{high} {}

  const std::byte* copy_;  // null: the memory itself
  std::uintptr_t low_;
  std::uintptr_t high_;
};

}  // namespace genserver::v0::platform
