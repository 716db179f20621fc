// SPDX-License-Identifier: BSL-1.0
// A service that is a server of its own.
#pragma once

#include <genserver/core/handler_wait.hpp>
#include <genserver/otp/service_run.hpp>

#include <memory>
#include <utility>

namespace genserver::inline v0 {

/// Runs a service without a Runner: what one gives to a supervisor, as any other server.
///
///   supervisor.start_child<ServiceServer>({.id = "ticker"}, ticker);
///
/// It is started when the service is ready. stop() asks the service to halt and waits for that, and
/// so does an exit signal, which also ends what the service waits for in the library. If the
/// service returns unasked, or throws, the server ends abnormally.
///
/// Messages that are sent to it are handled when the service has returned.
class ServiceServer : public GenServer<ServiceTask> {
 public:
  /// Blocks: until the service is ready.
  /// Throws: the service's error if it ends before that; ServiceError; StartFailed; Deadlock.
  explicit ServiceServer(const Service& service, CallSite site = CallSite::here())
      : ServiceServer{service, std::make_shared<StartGate>(StartGate::Opens::at_failure), site} {}

  [[nodiscard]] ServiceState state() const {
    const ServiceState state = run_->state();
    return state == ServiceState::ended && !is_alive() ? ServiceState::halted : state;
  }

 private:
  ServiceServer(const Service& service, const std::shared_ptr<StartGate>& gate,
                const CallSite& site)
      : ServiceServer{std::make_shared<ServiceRun>(service, nullptr, gate)} {
    gate->add(*this);
    run_->begin(*this);
    run_->launch(*this, site);
    if (gate->wait(Deadline::never(), {}, site) == Waited::interrupted) check_exit();
    raise(gate->close());
  }
  explicit ServiceServer(std::shared_ptr<ServiceRun> run)
      : GenServer{run->service().options(), run}, run_{std::move(run)} {}

  std::shared_ptr<ServiceRun> run_;
};

}  // namespace genserver::v0
