// SPDX-License-Identifier: BSL-1.0
// A poll for what another thread will bring about, which ends for sure.
#pragma once

#include <chrono>
#include <thread>

/// Asks `is_so()` again and again, and returns true as soon as it says so.
///
/// Blocks: for 10 s at most, a bound for broken code only; then it returns false.
template <class Condition>
bool eventually(Condition&& is_so) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  do {
    if (is_so()) return true;
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  return is_so();
}
