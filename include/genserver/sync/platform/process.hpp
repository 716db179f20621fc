// SPDX-License-Identifier: BSL-1.0
// Whether this process is still the one that started the servers.
#pragma once

#include <atomic>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace genserver::inline v0 {

namespace detail {

// Set once, in a child of fork(), before any other thread can exist there; so relaxed will do.
[[gnu::visibility("default")]] inline std::atomic<bool> is_forked_child{false};

}  // namespace detail

/// Returns true in a child made by fork() after watch_for_fork(): the servers' threads are not
/// here, and their locks may be held for ever by threads that are not here either.
inline bool is_forked_child() noexcept {
  return detail::is_forked_child.load(std::memory_order_relaxed);  // see the variable
}

/// Makes is_forked_child() work from now on; done once.
[[gnu::visibility("default")]] inline void watch_for_fork() {
#if defined(__unix__) || defined(__APPLE__)
  static const int done = pthread_atfork(nullptr, nullptr, [] {
    detail::is_forked_child.store(true, std::memory_order_relaxed);  // see the variable
  });
  static_cast<void>(done);
#endif
}

}  // namespace genserver::v0
