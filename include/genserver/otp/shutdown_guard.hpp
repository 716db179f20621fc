// SPDX-License-Identifier: BSL-1.0
// A bound for the time that the end of a program takes.
#pragma once

#include <genserver/otp/runner.hpp>

#include <exception>

namespace genserver {

/// What a ShutdownGuard does if services hang.
enum class OnHanging {
  report,    ///< They are reported; whoever waits for them, as the runner's destructor, goes on.
  terminate  ///< std::terminate() is called, after the report.
};

/// Shuts a runner down at the end of a scope, and reports the services that do not end in time,
/// with their stacks.
///
///   Runner runner;
///   const ShutdownGuard guard{runner, 10s, OnHanging::terminate};
class ShutdownGuard {
 public:
  ShutdownGuard(Runner& runner, Timespan timeout,
                OnHanging on_hanging = OnHanging::report, CallSite site = CallSite::here()) noexcept
      : runner_{runner}, timeout_{timeout}, on_hanging_{on_hanging}, site_{site} {}

  /// Blocks: until all services have ended, or the timeout. What they throw has been told to their
  ///         listeners.
  ~ShutdownGuard();
  ShutdownGuard(const ShutdownGuard&) = delete;
  ShutdownGuard& operator=(const ShutdownGuard&) = delete;

 private:
  Runner& runner_;
  const Timespan timeout_;
  const OnHanging on_hanging_;
  const CallSite site_;
};

inline ShutdownGuard::~ShutdownGuard() {
  try {
    // An exit signal for this handler does not keep it from waiting, as for all that is owned.
    runner_.shut_down(Deadline::after(timeout_), ServerCore::Waiter::stays, site_);
  } catch (...) {  // what has not ended is still there
  }
  if (on_hanging_ == OnHanging::terminate &&
      !runner_.services({ServiceState::starting, ServiceState::started, ServiceState::halting})
           .empty()) {
    std::terminate();
  }
}

}  // namespace genserver
