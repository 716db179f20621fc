// SPDX-License-Identifier: BSL-1.0
// Says that stacks cannot be taken here.
#pragma once

#include <genserver/base/deadline.hpp>
#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/stack_raw.hpp>

namespace genserver::inline v0::platform {

/// Has the functions of the one for Linux; every stack is empty and says why.
class ThreadStack {
 public:
  void attach() noexcept {}
  void detach() noexcept {}
  static RawStack capture_own() noexcept { return nothing(); }
  RawStack capture(Deadline) { return nothing(); }

 private:
  static RawStack nothing() {
    RawStack stack;
    stack.note = "not available on this platform";
    return stack;
  }
};

inline StackTrace named(const RawStack& stack) { return {{}, stack.note}; }

}  // namespace genserver::v0::platform
