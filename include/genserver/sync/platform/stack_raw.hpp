// SPDX-License-Identifier: BSL-1.0
// The addresses on a stack, before they have names.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace genserver::inline v0 {

/// The call addresses of one thread at one moment, innermost first.
///
/// Each lies in the call instruction, not after it, so that it belongs to the calling line; the
/// innermost one, and one that a signal interrupted, is the instruction itself.
struct RawStack {
  static constexpr std::size_t capacity = 128;

  std::array<std::uintptr_t, capacity> addresses{};
  std::size_t count = 0;
  bool is_complete = false;  ///< Reaches down to the thread's first function.
  std::string note{};        ///< How it was taken, or why it is missing or incomplete.
};

}  // namespace genserver::v0
