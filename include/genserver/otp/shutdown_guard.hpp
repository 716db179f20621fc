// SPDX-License-Identifier: BSL-1.0
// A bound for the time that the end of a program takes.
#pragma once

#include <genserver/otp/runner.hpp>

#include <genserver/sync/platform/process.hpp>

#include <exception>

namespace genserver::inline v0 {

/// What a ShutdownGuard does if services hang.
enum class OnHanging {
  report,    ///< They are reported; whoever waits for them, as the runner's destructor, waits on.
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
  static bool hangs(const ServiceError& error) noexcept {
    return error.kind() == ServiceError::Kind::halt_timeout;
  }
  static bool hangs(const ServiceErrors& errors);
  bool shut_down() const;

  Runner& runner_;
  const Timespan timeout_;
  const OnHanging on_hanging_;
  const CallSite site_;
};

inline ShutdownGuard::~ShutdownGuard() {
  if (is_forked_child()) return;  // the services are not here
  bool is_hanging = false;
  try {
    is_hanging = shut_down();
  } catch (...) {  // what has not ended is still there
  }
  if (is_hanging && on_hanging_ == OnHanging::terminate) std::terminate();
}

/// Returns whether a service, or a listener of its end, hangs.
inline bool ShutdownGuard::shut_down() const {
  try {
    // An exit signal for this handler does not keep it from waiting, as for all that is owned.
    runner_.shut_down(Deadline::after(timeout_), ServerCore::Waiter::stays, site_);
  } catch (const ServiceError& error) {
    return hangs(error);
  } catch (const ServiceErrors& errors) {
    return hangs(errors);
  }
  return false;
}

inline bool ShutdownGuard::hangs(const ServiceErrors& errors) {
  for (const ServiceFailure& each : errors.failures()) {
    try {
      std::rethrow_exception(each.reason.cause());
    } catch (const ServiceError& error) {
      if (hangs(error)) return true;
    } catch (...) {  // the service's own
    }
  }
  return false;
}

}  // namespace genserver::v0
