// SPDX-License-Identifier: BSL-1.0
// Which server runs on a thread.
#pragma once

#include <exception>

namespace genserver::inline v0 {

class Callee;

/// One turn of a server on a thread: from the begin to the end of a message.
struct Running {
  Callee& server;
  Running* outer = nullptr;  // A server whose handler is below on this stack.
  unsigned depth = 0;        // Calls to itself that are nested in each other.
  int exceptions = 0;        // Those that were on their way up when it began.

  /// The innermost turn of the calling thread; null outside of handlers.
  [[gnu::visibility("default")]] static Running*& now() noexcept {
    static constinit thread_local Running* running = nullptr;
    return running;
  }
};

/// Makes a server the current one of this thread, as long as the object lives.
class RunningScope {
 public:
  explicit RunningScope(Callee& server) noexcept
      : running_{server, Running::now(), 0, std::uncaught_exceptions()} {
    Running::now() = &running_;
  }
  ~RunningScope() { Running::now() = running_.outer; }
  RunningScope(const RunningScope&) = delete;
  RunningScope& operator=(const RunningScope&) = delete;

 private:
  Running running_;
};

}  // namespace genserver::v0
