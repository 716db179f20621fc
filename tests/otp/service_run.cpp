// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/service_run.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

const CallSite site = CallSite::here();

/// What listeners were told, in words.
class Log {
 public:
  void add(const std::string& word) {
    const std::scoped_lock lock{mutex_};
    words_.push_back(word);
  }
  [[nodiscard]] std::vector<std::string> words() const {
    const std::scoped_lock lock{mutex_};
    return words_;
  }
  [[nodiscard]] std::vector<std::string> states() const {
    const std::scoped_lock lock{mutex_};
    return states_;
  }
  [[nodiscard]] ServiceListeners listeners() {
    return {.on_end =
                [this](const ServiceEnd& end) {
                  const bool is_ready = end.stage == ServiceStage::run;
                  add((is_ready ? "end of run: " : "end before ready: ") + end.reason.what());
                },
            .on_error = [this](const ServiceFault& fault) { add("error: " + fault.reason.what()); },
            .on_state =
                [this](const ServiceChange& change) {
                  const std::scoped_lock lock{mutex_};
                  states_.push_back(to_string(change.to));
                }};
  }

 private:
  mutable std::mutex mutex_{};
  // guarded by mutex_:
  std::vector<std::string> words_{};
  std::vector<std::string> states_{};
};

using Words = std::vector<std::string>;

/// A run and its server; the keeper remembers that it was told to forget it.
struct Fixture final : RunKeeper {
  void forget(const ServiceRun&) noexcept override { log.add("forgotten"); }
  const ServiceListeners& listeners() const noexcept override { return own; }
  bool begin_telling(Teller) noexcept override { return true; }
  void end_telling(Teller) noexcept override {}
  Runner& runner() const override { throw InvalidArgument{"none"}; }

  std::shared_ptr<ServiceRun> begin(Service::Run function, ServiceListeners listeners = {}) {
    const Service service{"ticker", std::move(function), std::move(listeners)};
    const std::shared_ptr<RunKeeper> keeper{std::shared_ptr<void>{}, this};
    run = std::make_shared<ServiceRun>(service, keeper, nullptr);
    server = std::make_unique<GenServer<ServiceTask>>(service.options(), run);
    run->begin(*server);
    return run;
  }
  void launch() { run->launch(*server, site); }

  /// Lets the service run until it is asked to halt, and waits until it is ready.
  void launch_until_halted(ServiceListeners listeners = {}) {
    begin(
        [this](ServiceContext& context) {
          context.ready();
          is_ready.open();
          context.await_halt();
        },
        std::move(listeners));
    launch();
    is_ready.wait();
  }

  Log log{};
  ServiceListeners own = log.listeners();
  Gate is_ready{};
  std::shared_ptr<ServiceRun> run{};
  std::unique_ptr<GenServer<ServiceTask>> server{};
};

}  // namespace

TEST_CASE("a run goes from starting to ended, and is forgotten then", "[otp][service_run]") {
  Fixture fixture;
  const auto run = fixture.begin([&](ServiceContext& context) {
    context.ready();
    context.ready();  // once counts
    context.on_error(std::runtime_error{"slow"});
    fixture.is_ready.open();
    context.await_halt();
  });
  CHECK(run->state() == ServiceState::starting);
  fixture.launch();
  fixture.is_ready.wait();
  CHECK(run->state() == ServiceState::started);

  CHECK(run->request_halt());
  run->tell_changes();
  fixture.server->wait();

  CHECK_FALSE(run->request_halt());
  CHECK(run->has_ended());
  CHECK_FALSE(run->failure().has_value());
  CHECK(fixture.log.states() == Words{"starting", "started", "halting", "ended"});
  CHECK(fixture.log.words() ==
        Words{"error: exception: slow", "end of run: normal", "forgotten"});
}

TEST_CASE("a run that is asked to halt before it begins never runs", "[otp][service_run]") {
  Fixture fixture;
  bool has_run = false;
  fixture.begin([&](ServiceContext&) { has_run = true; });

  fixture.run->request_halt();
  fixture.launch();
  fixture.server->wait();

  CHECK_FALSE(has_run);
  CHECK(fixture.log.states() == Words{"starting", "halting", "ended"});
  CHECK(fixture.log.words() == Words{"end before ready: normal", "forgotten"});
}

TEST_CASE("a run that is killed has ended for everybody, and once", "[otp][service_run]") {
  const ReportLog log;
  Fixture fixture;
  Gate go_on;
  Gate has_returned;
  fixture.begin([&](ServiceContext& context) {
    context.ready();
    fixture.is_ready.open();
    go_on.wait();
    has_returned.open();
  });
  fixture.launch();
  fixture.is_ready.wait();

  fixture.server->kill();
  CHECK(fixture.run->has_ended());
  CHECK(fixture.run->stop_token().stop_requested());
  CHECK(fixture.log.states() == Words{"starting", "started", "halting", "ended"});
  const Words words{"end of run: killed", "forgotten"};
  CHECK(fixture.log.words() == words);
  REQUIRE(fixture.run->failure().has_value());

  go_on.open();
  has_returned.wait();
  fixture.server.reset();
  CHECK(fixture.log.words() == words);
}

TEST_CASE("an exit signal halts a run and is its reason", "[otp][service_run]") {
  Fixture fixture;
  fixture.launch_until_halted();

  fixture.server->exit(ExitReason::shutdown("upgrade"));
  fixture.server->wait();

  CHECK(fixture.log.states() == Words{"starting", "started", "halting", "ended"});
  CHECK(fixture.log.words() == Words{"end of run: shutdown: upgrade", "forgotten"});
  CHECK(fixture.server->exit_reason() == ExitReason::shutdown("upgrade"));
}

TEST_CASE("who stops the server itself halts the run", "[otp][service_run]") {
  Fixture fixture;
  fixture.launch_until_halted();

  fixture.server->stop();

  CHECK(fixture.log.states() == Words{"starting", "started", "halting", "ended"});
  CHECK(fixture.log.words() == Words{"end of run: normal", "forgotten"});
}

TEST_CASE("a run may end itself by Exit", "[otp][service_run]") {
  Fixture fixture;
  fixture.begin([](ServiceContext& context) {
    context.ready();
    throw Exit{ExitReason::shutdown("done")};
  });
  fixture.launch();
  fixture.server->wait();

  CHECK(fixture.log.states() == Words{"starting", "started", "ended"});
  CHECK(fixture.log.words() == Words{"end of run: shutdown: done", "forgotten"});
  CHECK(fixture.server->exit_reason() == ExitReason::shutdown("done"));
}

TEST_CASE("what on_end throws is why the server ends, and all listeners are told",
          "[otp][service_run]") {
  const ReportLog log;
  Fixture fixture;
  fixture.own.on_end = [](const ServiceEnd&) { throw std::runtime_error{"listener"}; };
  bool is_told = false;
  fixture.launch_until_halted({.on_end = [&](const ServiceEnd&) { is_told = true; }});

  fixture.server->stop();

  CHECK(is_told);
  CHECK(fixture.log.words().back() == "forgotten");
  CHECK(fixture.server->exit_reason()->what() == "exception: listener");
  CHECK(log.count(Report::Kind::crash) == 1);
}

TEST_CASE("of two listeners that throw, none is lost", "[otp][service_run]") {
  const ReportLog log;
  Fixture fixture;
  fixture.own.on_end = [](const ServiceEnd&) { throw std::runtime_error{"first"}; };
  fixture.begin([](ServiceContext&) {},
                {.on_end = [](const ServiceEnd&) { throw std::runtime_error{"second"}; }});
  fixture.launch();
  fixture.server->wait();

  CHECK(fixture.server->exit_reason()->what() == "exception: second");
  const auto reports = log.of(Report::Kind::crash);
  REQUIRE(reports.size() == 2);
  CHECK(reports[0].reason.what() == "exception: first");
  CHECK(reports[1].reason.what() == "exception: second");
}

TEST_CASE("what on_state and on_error throw is reported, and the service goes on",
          "[otp][service_run]") {
  const ReportLog log;
  Fixture fixture;
  fixture.own.on_state = [](const ServiceChange&) { throw std::runtime_error{"on_state"}; };
  fixture.own.on_error = [](const ServiceFault&) { throw std::runtime_error{"on_error"}; };
  fixture.begin([&](ServiceContext& context) {
    context.on_error(std::runtime_error{"slow"});
    context.ready();
    fixture.is_ready.open();
    context.await_halt();
  });
  fixture.launch();
  fixture.is_ready.wait();

  fixture.server->stop();

  CHECK(fixture.server->exit_reason() == ExitReason::normal());
  const auto reports = log.of(Report::Kind::crash);
  REQUIRE(reports.size() == 5);  // starting, started, halting, ended; one error
  CHECK(reports[0].server == "ticker");
  CHECK(has(reports[0].outcome, "listener"));
}

TEST_CASE("changes are told one at a time and in order, though a listener is slow",
          "[otp][service_run]") {
  Fixture fixture;
  Gate is_told;
  Gate go_on;
  fixture.launch_until_halted({.on_state = [&](const ServiceChange& change) {
    if (change.to != ServiceState::halting) return;
    is_told.open();
    go_on.wait();
  }});
  std::thread halter{[&] { fixture.server->request_stop(); }};
  is_told.wait();

  fixture.server->wait();  // the service does not wait for the listener
  CHECK(fixture.log.states() == Words{"starting", "started", "halting"});
  CHECK(fixture.log.words() == Words{"end of run: normal", "forgotten"});
  go_on.open();
  halter.join();

  CHECK(fixture.log.states() == Words{"starting", "started", "halting", "ended"});
}

TEST_CASE("the error of a run that was ready is kept", "[otp][service_run]") {
  const ReportLog log;
  Fixture fixture;
  fixture.begin([](ServiceContext& context) {
    context.ready();
    throw std::runtime_error{"lost"};
  });
  CHECK_FALSE(fixture.run->failure().has_value());
  fixture.launch();
  fixture.server->wait();

  const auto failure = fixture.run->failure();
  REQUIRE(failure.has_value());
  CHECK(failure->service == "ticker");
  CHECK(failure->reason.what() == "exception: service \"ticker\" failed: lost");
}

TEST_CASE("a run that hangs is reported with its stack and what it waits for",
          "[otp][service_run]") {
  Fixture fixture;
  GenServer<int> other{{.name = "other"}, 0};
  Gate go_on;
  other.cast([&] { go_on.wait(); });
  fixture.begin([&](ServiceContext& context) {
    context.ready();
    other.call([] {});
  });
  fixture.launch();
  const auto waits = [&] { return !fixture.run->report_hanging().cycle.empty(); };
  CHECK(eventually(waits));
  fixture.run->request_halt();

  const Report report = fixture.run->report_hanging();
  go_on.open();
  fixture.server->wait();

  CHECK(report.kind == Report::Kind::stuck);
  CHECK(report.server == "ticker");
  CHECK(has(report.outcome, "asked to halt"));
  REQUIRE(report.cycle.size() == 1);
  CHECK(report.cycle[0].target == "other");
  REQUIRE(report.stacks.size() == 1);
  CHECK(report.stacks[0].server == "ticker");
}
