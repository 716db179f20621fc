// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/timed_restart.hpp>

#include <genserver/core/snapshot.hpp>
#include <genserver/otp/end_listener.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>
#include <support/run_until_halted.hpp>
#include <support/thrown.hpp>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Stops = std::vector<std::pair<std::uint64_t, std::string>>;

/// Remembers after which start the service has stopped, and why.
struct StopLog {
  void operator()(std::uint64_t starts, const ExitReason& reason) const {
    const std::scoped_lock lock{kept->mutex};
    kept->stops.emplace_back(starts, reason.what());
  }
  [[nodiscard]] Stops stops() const {
    const std::scoped_lock lock{kept->mutex};
    return kept->stops;
  }
  struct Kept {
    std::mutex mutex{};
    Stops stops{};  // guarded by mutex
  };
  std::shared_ptr<Kept> kept = std::make_shared<Kept>();
};

const auto soon = [](std::uint64_t) { return Timespan{100us}; };
const auto never = [](std::uint64_t) { return Timespan{1h}; };

/// Starts what restarts a service, which may not be ready then.
std::shared_ptr<TimedRestart> start(Runner& runner, Service service, TimedRestartOptions options) {
  const auto restart = std::make_shared<TimedRestart>(std::move(service), std::move(options));
  runner.start(Service{"restart", restart});
  return restart;
}

bool is_in_snapshot(const std::string& name) {
  const Snapshot all = snapshot();  // a range must outlive the loop
  for (const ServerSnapshot& server : all.servers) {
    if (server.name == name) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a service that fails is started again until the limit", "[otp][timed_restart]") {
  const bool is_ready_first = GENERATE(true, false);
  const ReportLog log;
  const StopLog stops;
  const FailureListener failures;
  Runner runner{{.on_end = failures}};
  const Service failing{"failing", [=](ServiceContext& context) {
    if (is_ready_first) context.ready();
    throw std::runtime_error{"broken"};
  }};

  const auto restart = start(runner, failing, {.wait = soon, .limit = 2, .on_stop = stops});

  const ServiceEnd end = failures.take();
  const auto error = thrown<ServiceError>([&] { raise({{"restart", end.reason}}); });
  REQUIRE(error.has_value());
  CHECK(error->kind() == ServiceError::Kind::restart_limit);
  CHECK(error->service() == "failing");
  CHECK(has(error->what(), "broken"));
  CHECK(stops.stops() == Stops{{1, "exception: broken"}, {2, "exception: broken"}});
  CHECK(restart->starts() == 2);
  CHECK_FALSE(restart->is_running());
}

TEST_CASE("a service that runs is started once, and halted with its restarter",
          "[otp][timed_restart]") {
  const StopLog stops;
  const EndListener ends;
  Runner runner{{.on_end = ends}};
  const auto restart = std::make_shared<TimedRestart>(
      Service{"inner", run_until_halted}, TimedRestartOptions{.wait = soon, .on_stop = stops});
  const Service service{"restart", restart};
  runner.start(service);
  CHECK(eventually([&] { return restart->is_running(); }));
  CHECK(is_in_snapshot("inner"));

  runner.halt(service);

  CHECK_FALSE(ends.take().reason.is_abnormal());
  CHECK(restart->starts() == 1);
  CHECK_FALSE(restart->is_running());
  CHECK(stops.stops().empty());
  CHECK_FALSE(is_in_snapshot("inner"));  // no thread is left
}

TEST_CASE("a restarter that is suspended halts the service until it is resumed",
          "[otp][timed_restart]") {
  const StopLog stops;
  Runner runner;
  const auto restart = start(runner, Service{"inner", run_until_halted},
                             {.wait = soon, .limit = 1, .on_stop = stops});
  CHECK(eventually([&] { return restart->is_running(); }));

  CHECK(restart->suspend());
  CHECK_FALSE(restart->suspend());
  CHECK(eventually([&] { return stops.stops().size() == 1; }));
  CHECK(stops.stops() == Stops{{1, "normal"}});
  CHECK(restart->is_suspended());
  CHECK_FALSE(restart->is_running());

  CHECK(restart->resume());
  CHECK(eventually([&] { return restart->is_running(); }));
  CHECK(restart->starts() == 2);  // to be suspended is no failure, and the limit not reached
}

TEST_CASE("a restarter may begin suspended, and be halted so", "[otp][timed_restart]") {
  Runner runner;
  const auto restart = std::make_shared<TimedRestart>(Service{"inner", run_until_halted},
                                                      TimedRestartOptions{.is_suspended = true});
  const Service service{"restart", restart};
  runner.start(service);

  CHECK(restart->starts() == 0);
  runner.halt(service);

  CHECK(restart->starts() == 0);
}

TEST_CASE("a restarter is halted in its wait for the next start, and in a start",
          "[otp][timed_restart]") {
  const ReportLog log;
  const StopLog stops;
  Gate is_starting;
  Runner runner;
  const Service slow{"slow", [&](ServiceContext& context) {
    is_starting.open();
    context.await_halt();
  }};
  const Service starting{"starting", std::make_shared<TimedRestart>(slow)};
  const Service failing{"failing", [](ServiceContext&) { throw std::runtime_error{"broken"}; }};
  const Service waiting{
      "waiting", std::make_shared<TimedRestart>(
                     failing, TimedRestartOptions{.wait = never, .on_stop = stops})};
  runner.start(starting, waiting);
  is_starting.wait();
  CHECK(eventually([&] { return stops.stops().size() == 1; }));

  runner.halt(starting, waiting);

  // A restarter does not wait for listeners of an end.
  CHECK(eventually([&] { return runner.services().empty(); }));
}

TEST_CASE("an error as the service halts is that of its restarter", "[otp][timed_restart]") {
  const ReportLog log;
  Runner runner;
  const auto restart = std::make_shared<TimedRestart>(Service{"inner", [](auto& context) {
    context.ready();
    context.await_halt();
    throw std::runtime_error{"not saved"};
  }});
  const Service service{"restart", restart};
  runner.start(service);
  CHECK(eventually([&] { return restart->is_running(); }));

  CHECK_THROWS_AS(runner.halt(service), std::runtime_error);
}

TEST_CASE("what on_stop throws ends the restarter", "[otp][timed_restart]") {
  const ReportLog log;
  const FailureListener failures;
  Runner runner{{.on_end = failures}};
  const auto stop = [](std::uint64_t, const ExitReason&) { throw std::runtime_error{"on_stop"}; };
  start(runner, Service{"inner", [](ServiceContext&) {}}, {.on_stop = stop});

  CHECK(failures.take().reason.what() == "exception: on_stop");
}

TEST_CASE("the wait before a start depends on how many there were", "[otp][timed_restart]") {
  const ReportLog log;
  std::vector<std::uint64_t> asked;
  const FailureListener failures;
  Runner runner{{.on_end = failures}};
  const auto wait = [&](std::uint64_t starts) {
    asked.push_back(starts);
    return Timespan{0s};
  };
  start(runner, Service{"inner", [](ServiceContext&) {}}, {.wait = wait, .limit = 3});

  static_cast<void>(failures.take());

  CHECK(asked == std::vector<std::uint64_t>{1, 2});
}

TEST_CASE("the end of another service of its runner is not that of its own",
          "[otp][timed_restart]") {
  const ReportLog log;
  const StopLog stops;
  Gate has_failed;
  const Service helper{"helper",
                       [](ServiceContext& context) {
                         context.ready();
                         throw std::runtime_error{"helper failed"};
                       },
                       {.on_state = [&](const ServiceChange& change) {
                         if (change.to == ServiceState::ended) has_failed.open();
                       }}};
  const Service own{"own", [&](ServiceContext& context) {
    context.runner().start(helper);
    has_failed.wait();
    context.runner().halt(helper);  // its end is known
    context.ready();
    context.await_halt();
  }};
  Runner runner;
  const auto restart = start(runner, own, {.wait = soon, .on_stop = stops});

  CHECK(eventually([&] { return restart->is_running(); }));
  runner.shutdown();

  CHECK(stops.stops().empty());
  CHECK(restart->starts() == 1);
}

TEST_CASE("a restarter that is suspended halts the service also while it starts",
          "[otp][timed_restart]") {
  const StopLog stops;
  Gate entered;
  Gate has_left;
  const Service starting{"starting", [&](ServiceContext& context) {
    entered.open();
    context.await_halt();
    has_left.open();
  }};
  Runner runner;
  const auto restart = start(runner, starting, {.wait = soon, .on_stop = stops});
  entered.wait();

  CHECK(restart->suspend());
  has_left.wait();
  CHECK(eventually([&] { return stops.stops().size() == 1; }));

  CHECK(stops.stops() == Stops{{1, "normal"}});
  CHECK(restart->is_suspended());
}
