// SPDX-License-Identifier: BSL-1.0
// The exception with which pthread_cancel and pthread_exit unwind a stack.
#pragma once

#include <cxxabi.h>

#include <exception>

namespace genserver {

#if defined(__GLIBCXX__)
/// Must be caught before `catch (...)` and rethrown, else the C library ends the process.
using ForcedUnwind = abi::__forced_unwind;
#else
/// This runtime library has no such exception; nothing throws this.
class ForcedUnwind {
 public:
  ForcedUnwind() = delete;
};
#endif

}  // namespace genserver
