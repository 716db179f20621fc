// SPDX-License-Identifier: BSL-1.0
// What a spinning thread has to know of the processor, and tells it.
#pragma once

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sched.h>
#else
#include <thread>
#endif

namespace genserver {

/// Says that this thread is in a waiting loop.
inline void pause_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");  // about as long as x86's pause; `yield` does nothing
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

}  // namespace genserver
