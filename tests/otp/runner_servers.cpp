// SPDX-License-Identifier: BSL-1.0
// Runners among servers: services and listeners that use the runner, waits, signals and kills.
#include <genserver/otp/runner.hpp>

#include <genserver/core/snapshot.hpp>
#include <genserver/otp/end_listener.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>
#include <support/run_until_halted.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__unix__)
#include <support/in_child.hpp>
#endif

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using State = ServiceState;

}  // namespace

TEST_CASE("a running service is a server that one can find", "[otp][runner]") {
  Runner runner;
  const Service service{"ticker", run_until_halted};
  CHECK_FALSE(runner.whereis(service).has_value());
  runner.start(service);

  const AnyRef server = runner.whereis(service).value();
  const Snapshot all = snapshot();
  REQUIRE(all.find(server.pid()).has_value());
  CHECK(all.servers[*all.find(server.pid())].name == "ticker");
  runner.halt(service);

  CHECK_FALSE(server.is_alive());
  CHECK_FALSE(snapshot().find(server.pid()).has_value());
}

TEST_CASE("a service may start and halt others", "[otp][runner]") {
  Runner runner;
  const Service child{"child", run_until_halted};
  const Service parent{"parent", [&](ServiceContext& context) {
    context.runner().start(child);
    context.ready();
    context.await_halt();
    context.runner().halt(child);
  }};

  runner.start(parent);
  CHECK(runner.services().size() == 2);
  runner.halt(parent);

  // The parent did not wait for listeners of the child's end.
  CHECK(runner.services({State::starting, State::started, State::halting}).empty());
}

TEST_CASE("a service cannot wait for its own end, but may ask for it", "[otp][runner]") {
  Runner runner;
  std::string message;
  const Service other{"other", run_until_halted};
  const Service service{"selfish", [&](ServiceContext& context) {
    context.ready();
    message = thrown<SelfWait>([&] { context.runner().shutdown(); })->what();
    context.runner().request_halt(context.service());
    context.await_halt();
  }};
  EndListener ends;
  runner.start(other);

  const Service with_end{"selfish", [&](ServiceContext& c) { service.run(c); }, {.on_end = ends}};
  runner.start(with_end);

  CHECK_FALSE(ends.take().reason.is_abnormal());
  CHECK(has(message, "request_halt"));
  CHECK(runner.state() == RunnerState::enabled);
  CHECK(runner.state(other) == State::started);
}

TEST_CASE("two services that halt each other are a deadlock, which is found", "[otp][runner]") {
  const ReportLog log;
  Gate go_on;
  Runner runner;
  std::atomic<int> deadlocks{0};
  Service* first = nullptr;
  const auto halt = [&](ServiceContext& context, const Service& peer) {
    context.ready();
    go_on.wait();
    try {
      context.runner().halt(peer);
    } catch (const Deadlock&) {
      ++deadlocks;
    }
  };
  const Service second{"second", [&](ServiceContext& c) { halt(c, *first); }};
  Service one{"first", [&](ServiceContext& c) { halt(c, second); }};
  first = &one;
  runner.start(one, second);

  go_on.open();
  runner.shutdown();

  CHECK(deadlocks == 1);
  CHECK(log.count(Report::Kind::deadlock) == 1);
}

TEST_CASE("a service that calls the server which starts it is a deadlock", "[otp][runner]") {
  const ReportLog log;
  Runner runner;
  GenServer<int> starter{{.name = "starter"}, 0};
  const Service fine{"fine", run_until_halted};
  const Service calling{"calling", [&](ServiceContext& context) {
    starter.call([] {});
    context.ready();
    context.await_halt();
  }};

  // Whoever waits last is told: the starter, or the service, which fails then.
  CHECK_THROWS_AS(starter.call([&] { runner.start(fine, calling); }), Error);

  CHECK(runner.services({State::starting, State::started}).empty());
  CHECK(log.count(Report::Kind::deadlock) == 1);
}

TEST_CASE("a handler that waits for services leaves with an exit signal", "[otp][runner]") {
  Gate entered;
  Gate go_on;
  Runner runner;
  const Service slow{"slow", [&](ServiceContext& context) {
    entered.open();
    context.await_halt();
  }};
  const Service stubborn{"stubborn", [&](ServiceContext& context) {
    context.ready();
    go_on.wait();
  }};
  GenServer<int> starter{{}, 0};
  GenServer<int> halter{{}, 0};
  runner.start(stubborn);

  starter.cast([&] { runner.start(slow); });
  entered.wait();
  starter.exit(ExitReason::shutdown());
  starter.wait();
  CHECK(eventually([&] { return runner.state(slow) == State::halted; }));

  halter.cast([&] { runner.halt(stubborn); });
  CHECK(eventually([&] { return runner.state(stubborn) == State::halting; }));
  halter.exit(ExitReason::shutdown());
  halter.wait();
  go_on.open();
}

TEST_CASE("a service that is killed has ended at once, and can be started again",
          "[otp][runner]") {
  const ReportLog log;
  EndListener ends;
  Gate go_on;
  Gate has_left;
  Runner runner{{.on_end = ends}};
  std::atomic<int> runs{0};
  const Service service{"stubborn", [&](ServiceContext& context) {
    ++runs;
    context.ready();
    if (runs > 1) return context.await_halt();
    go_on.wait();
    has_left.open();
  }};
  runner.start(service);

  runner.whereis(service)->kill();
  const ServiceEnd end = ends.try_take().value();
  CHECK(end.reason == ExitReason::killed());
  CHECK(end.stage == ServiceStage::run);
  CHECK(runner.state(service) == State::halted);

  runner.start(service);
  CHECK(runs == 2);
  go_on.open();
  has_left.wait();
  runner.halt(service);
  CHECK(ends.take().reason == ExitReason::normal());
  CHECK_FALSE(ends.try_take().has_value());
}

TEST_CASE("a service that is killed, or told to exit, before it is ready has failed to start",
          "[otp][runner]") {
  const bool is_killed = GENERATE(true, false);
  const ReportLog log;
  Gate entered;
  Gate go_on;
  Gate has_left;
  Runner runner;
  const Service service{"slow", [&](ServiceContext&) {
    entered.open();
    go_on.wait();
    has_left.open();
  }};
  std::string message;
  ExitReason reason = ExitReason::normal();
  std::thread starter{[&] {
    const auto error = thrown<ServiceError>([&] { runner.start(service); });
    message = error->what();
    reason = error->reason();
  }};
  entered.wait();

  if (is_killed) {
    runner.whereis(service)->kill();
  } else {
    runner.whereis(service)->exit(ExitReason::no_server());
    go_on.open();
  }
  starter.join();

  CHECK(has(message, is_killed ? "ended from outside: killed" : "ended from outside: no server"));
  CHECK(reason == (is_killed ? ExitReason::killed() : ExitReason::no_server()));
  CHECK(runner.state(service) == State::halted);
  go_on.open();
  has_left.wait();
}

TEST_CASE("on_end may start the service again", "[otp][runner]") {
  const ReportLog log;
  std::atomic<int> runs{0};
  Gate third;
  Runner runner{{.on_end = [&](const ServiceEnd& end) {
    if (end.reason.is_abnormal()) runner.start(end.service);
  }}};
  const Service service{"fragile", [&](ServiceContext& context) {
    context.ready();
    if (++runs < 3) throw std::runtime_error{"broken"};
    third.open();
    context.await_halt();
  }};

  runner.start(service);
  third.wait();

  CHECK(runs == 3);
  CHECK(eventually([&] { return runner.services().size() == 1; }));
  runner.halt(service);
  CHECK(runner.services().empty());
}

TEST_CASE("on_end may halt the service itself and others, and shut the runner down",
          "[otp][runner]") {
  const ReportLog log;
  Gate is_told;
  Gate go_on;
  const Service other{"other", run_until_halted};
  Runner runner{{.on_end = [&](const ServiceEnd& end) {
    if (end.service == other) return;
    runner.halt(end.service);
    runner.halt(other);
    runner.shutdown();
    is_told.open();
  }}};
  const Service service{"first", [&](ServiceContext& context) {
    context.ready();
    go_on.wait();
  }};
  runner.start(other, service);

  go_on.open();
  is_told.wait();

  // The listener did not wait for those of the other's end.
  CHECK(eventually([&] { return runner.state(other) == State::halted; }));
}

TEST_CASE("listeners of two ends may halt each other's service", "[otp][runner]") {
  const ReportLog log;
  std::vector<Service> services;
  std::atomic<int> told{0};
  Gate go_on;
  Runner runner{{.on_end = [&](const ServiceEnd&) {
    ++told;
    while (told < 2) std::this_thread::yield();
    runner.halt(services);
  }}};
  for (const char* name : {"a", "b"}) {
    services.push_back({name, [&](ServiceContext& context) {
      context.ready();
      go_on.wait();
    }});
  }
  runner.start(services);

  go_on.open();

  CHECK(eventually([&] { return runner.services().empty(); }));
  CHECK(log.count(Report::Kind::deadlock) == 0);
}

TEST_CASE("halt returns after the listeners of the end were told", "[otp][runner]") {
  for (int round = 0; round < 50; ++round) {
    int told = 0;
    Runner runner{{.on_end = [&](const ServiceEnd&) { ++told; }}};
    const Service service{"ticker", run_until_halted};
    runner.start(service);

    runner.halt(service);

    CHECK(told == 1);
  }
}

TEST_CASE("a runner may go in a listener of its last service", "[otp][runner]") {
  const ReportLog log;
  Gate is_gone;
  Gate go_on;
  std::unique_ptr<Runner> runner;
  runner = std::make_unique<Runner>(RunnerOptions{.on_end = [&](const ServiceEnd&) {
    runner.reset();
    is_gone.open();
  }});
  runner->start(Service{"last", [&](ServiceContext& context) {
    context.ready();
    go_on.wait();
    throw Exit{};
  }});

  go_on.open();
  is_gone.wait();

  CHECK(runner == nullptr);
}

TEST_CASE("a service that has been started is halted exactly once, whoever races for it",
          "[otp][runner]") {
  for (int round = 0; round < 40; ++round) {
    std::atomic<int> starts{0};
    std::atomic<int> ends{0};
    Runner runner{{.on_end = [&](const ServiceEnd&) { ++ends; },
                   .on_state = [&](const ServiceChange& change) {
                     if (change.to == State::starting) ++starts;
                   }}};
    const Service service{"contested", run_until_halted};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        try {
          runner.start(service);
        } catch (const ServiceError&) {  // it runs, or was halted as it started
        }
        runner.halt(service);
      });
    }
    for (std::thread& thread : threads) thread.join();
    runner.shutdown();

    CHECK(starts >= 1);
    CHECK(ends == starts);
    CHECK(runner.services().empty());
  }
}

TEST_CASE("a service may be halted when it is known but not begun", "[otp][runner]") {
  Runner runner;
  int ends = 0;
  int ends_at_halt = 0;
  State state = State::starting;
  const Service second{
      "second", run_until_halted, {.on_end = [&](const ServiceEnd&) { ++ends; }}};
  const Service first{"first", run_until_halted, {.on_state = [&](const ServiceChange& change) {
                        if (change.to != State::starting) return;
                        runner.halt(second);
                        ends_at_halt = ends;
                        state = runner.state(second);
                      }}};

  const auto error = thrown<ServiceError>([&] { runner.start(first, second); });

  REQUIRE(error.has_value());
  CHECK(error->kind() == ServiceError::Kind::halted);
  CHECK(ends_at_halt == 1);
  CHECK(state == State::halted);
  CHECK(ends == 1);
}

TEST_CASE("a listener of an end that hangs is reported as that", "[otp][runner]") {
  const ReportLog log;
  Gate is_telling;
  Gate go_on;
  Runner runner{{.on_end = [&](const ServiceEnd&) {
    is_telling.open();
    go_on.wait();
  }}};
  const Service service{"brief", [](ServiceContext& context) { context.ready(); }};
  runner.start(service);
  is_telling.wait();

  const auto error = thrown<ServiceError>([&] { runner.halt_for(1ms, service); });
  go_on.open();

  REQUIRE(error.has_value());
  CHECK(error->kind() == ServiceError::Kind::halt_timeout);
  REQUIRE(log.of(Report::Kind::stuck).size() == 1);
  CHECK(has(log.of(Report::Kind::stuck)[0].outcome, "it has ended"));
}

TEST_CASE("a runner that goes waits for listeners in other threads", "[otp][runner]") {
  Gate is_told;
  Gate go_on;
  Gate is_going;
  std::atomic<bool> has_told{false};
  const auto wait_at_halting = [&](const ServiceChange& change) {
    if (change.to != State::halting) return;
    is_told.open();
    go_on.wait();
    has_told = true;
  };
  auto runner = std::make_unique<Runner>(RunnerOptions{.on_state = wait_at_halting});
  const Service service{
      "ticker", run_until_halted, {.on_end = [&](const ServiceEnd&) { is_going.open(); }}};
  runner->start(service);
  const AnyRef ref = *runner->whereis(service);
  std::thread stopping{[&] { ref.request_stop(); }};
  is_told.wait();
  std::thread opening{[&] {
    is_going.wait();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    go_on.open();
  }};

  runner.reset();

  CHECK(has_told);
  stopping.join();
  opening.join();
}

TEST_CASE("a service that was killed is told that its runner is gone", "[otp][runner]") {
  const ReportLog log;
  Gate is_gone;
  Gate has_left;
  bool has_thrown = false;
  std::atomic<int> errors{0};
  const Service service{"killed", [&](ServiceContext& context) {
    context.ready();
    is_gone.wait();
    has_thrown = thrown<InvalidArgument>([&] { context.runner().enable(); }).has_value();
    context.on_error(std::runtime_error{"too late"});
    has_left.open();
  }};
  {
    Runner runner{{.on_error = [&](const ServiceFault&) { ++errors; }}};
    runner.start(service);
    runner.whereis(service)->kill();
  }

  is_gone.open();
  has_left.wait();

  CHECK(has_thrown);
  CHECK(errors == 0);
}

#if defined(__unix__)
TEST_CASE("in a child of fork a runner says so, and does not wait", "[otp][runner]") {
  auto runner = std::make_unique<Runner>();
  const Service service{"ticker", run_until_halted};
  runner->start(service);

  const int told = in_child([&] {
    int count = 0;
    const auto try_to = [&](auto&& action) { count += thrown<Forked>(action).has_value(); };
    try_to([&] { runner->start(service); });
    try_to([&] { runner->halt(service); });
    try_to([&] { runner->request_halt(service); });
    try_to([&] { runner->shutdown(); });
    runner.reset();
    return count;
  });

  CHECK(told == 4);
  CHECK(runner->state(service) == State::started);
}
#endif
