// SPDX-License-Identifier: BSL-1.0
// What a spinning thread has to know of the processor, and tells it.
#pragma once

#if defined(_M_X64) && !defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sched.h>
#else
#include <thread>
#endif

namespace genserver::inline v0 {

/// Says that this thread is in a waiting loop.
inline void pause_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();  // as _mm_pause(), whose header is dear to include
#elif defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");  // about as long as x86's pause; `yield` does nothing
#endif
}

/// Lets another thread have this processor, if one waits for it.
inline void yield_cpu() noexcept {
#if defined(__linux__)
  ::sched_yield();
#else
  std::this_thread::yield();
#endif
}

/// The number of no processor.
inline constexpr int no_cpu = -1;

/// Returns the number of the processor that this thread runs on, or no_cpu where that is unknown.
///
/// Cost: some nanoseconds, or a system call where the C library knows no better.
inline int current_cpu() noexcept {
#if defined(__linux__)
  return ::sched_getcpu();
#else
  return no_cpu;
#endif
}

/// Returns on how many processors this process may run, at least 1.
inline unsigned usable_cpus() noexcept {
#if defined(__linux__)
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  const int count = CPU_COUNT(&allowed);
  return count > 0 ? static_cast<unsigned>(count) : 1;
#else
  const unsigned count = std::thread::hardware_concurrency();
  return count > 0 ? count : 1;
#endif
}

}  // namespace genserver::v0
