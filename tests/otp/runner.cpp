// SPDX-License-Identifier: BSL-1.0
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
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Kind = ServiceError::Kind;
using State = ServiceState;
using Changes = std::vector<std::pair<State, State>>;

/// A service that halts only when the gate is open.
Service unhaltable(Gate& gate, const std::string& name = "unhaltable") {
  return {name, [&gate](ServiceContext& context) {
    context.ready();
    gate.wait();
  }};
}

/// A service that is ready only when the gate is open.
Service slow(Gate& gate, const std::string& name = "slow") {
  return {name, [&gate](ServiceContext& context) {
    gate.wait();
    context.ready();
    context.await_halt();
  }};
}

template <class Action>
std::optional<Kind> kind_thrown(Action&& action) {
  const auto error = thrown<ServiceError>(action);
  return error ? std::optional{error->kind()} : std::nullopt;
}

/// Remembers how the states of services change.
struct StateLog {
  void operator()(const ServiceChange& change) const {
    const std::scoped_lock lock{kept->mutex};
    kept->changes.emplace_back(change.from, change.to);
  }
  [[nodiscard]] Changes changes() const {
    const std::scoped_lock lock{kept->mutex};
    return kept->changes;
  }
  struct Kept {
    std::mutex mutex{};
    Changes changes{};  // guarded by mutex
  };
  std::shared_ptr<Kept> kept = std::make_shared<Kept>();
};

}  // namespace

TEST_CASE("a service that runs cannot be started, and can be again when it is halted",
          "[otp][runner]") {
  Runner runner;
  const Service service{"ticker", run_until_halted};
  for (int round = 0; round < 5; ++round) {
    runner.start_for(10s, service);
    CHECK(runner.state(service) == State::started);
    CHECK(kind_thrown([&] { runner.start(service); }) == Kind::already_running);

    runner.halt_for(10s, service);
    CHECK(runner.state(service) == State::halted);
    runner.halt(service);
    CHECK(runner.state(service) == State::halted);
  }
}

TEST_CASE("the states of a run are starting, started, halting, ended", "[otp][runner]") {
  const StateLog of_runner;
  const StateLog of_service;
  Runner runner{{.on_state = of_runner}};
  const Service service{"ticker", run_until_halted, {.on_state = of_service}};
  const Changes until_started{{State::halted, State::starting}, {State::starting, State::started}};
  Changes all = until_started;
  all.insert(all.end(), {{State::started, State::halting}, {State::halting, State::ended}});

  runner.start(service);
  CHECK(of_runner.changes() == until_started);
  runner.halt(service);

  CHECK(of_runner.changes() == all);
  CHECK(of_service.changes() == all);
}

TEST_CASE("a service that is halted while it starts ends without having been started",
          "[otp][runner]") {
  const StateLog log;
  EndListener ends;
  Gate go_on;
  Runner runner{{.on_end = ends, .on_state = log}};
  const Service service = slow(go_on);
  std::optional<Kind> kind;
  std::thread starter{[&] { kind = kind_thrown([&] { runner.start(service); }); }};
  CHECK(eventually([&] { return runner.state(service) == State::starting; }));

  std::thread halter{[&] { runner.halt(service); }};
  CHECK(eventually([&] { return runner.state(service) == State::halting; }));
  go_on.open();
  halter.join();
  starter.join();

  CHECK(kind == Kind::halted);
  CHECK(log.changes() == Changes{{State::halted, State::starting},
                                 {State::starting, State::halting},
                                 {State::halting, State::ended}});
  CHECK_FALSE(ends.take().reason.is_abnormal());
  CHECK(runner.services().empty());
}

TEST_CASE("any number of threads may halt a service", "[otp][runner]") {
  Gate go_on;
  Runner runner;
  const Service service = unhaltable(go_on);
  runner.start(service);
  std::atomic<int> returned{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      runner.halt(service);
      if (runner.state(service) == State::halted) ++returned;
    });
  }
  CHECK(eventually([&] { return runner.state(service) == State::halting; }));
  CHECK(returned == 0);

  go_on.open();
  for (std::thread& thread : threads) thread.join();

  CHECK(returned == 4);
}

TEST_CASE("a service that does not halt in time is named and reported with its stack",
          "[otp][runner]") {
  const ReportLog log;
  EndListener ends;
  Gate go_on;
  Runner runner{{.on_end = ends}};
  const Service service = unhaltable(go_on, "stubborn");
  runner.start(service);

  const auto error = thrown<ServiceError>([&] { runner.halt_for(1ms, service); });

  REQUIRE(error.has_value());
  CHECK(error->kind() == Kind::halt_timeout);
  CHECK(error->service() == "stubborn");
  CHECK(has(error->what(), "runner.cpp:"));
  const auto reports = log.of(Report::Kind::stuck);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].server == "stubborn");
  CHECK_FALSE(reports[0].stacks.at(0).stack.frames.empty());

  CHECK(runner.state(service) == State::halting);
  CHECK(kind_thrown([&] { runner.start(service); }) == Kind::already_running);
  go_on.open();
  CHECK_FALSE(ends.take().reason.is_abnormal());
  CHECK(eventually([&] { return runner.state(service) == State::halted; }));
}

TEST_CASE("a service that is not ready in time is asked to halt", "[otp][runner]") {
  Runner runner;
  const Service service{"slow", [](ServiceContext& context) { context.await_halt(); }};

  const auto error = thrown<ServiceError>([&] { runner.start_for(1ms, service); });

  REQUIRE(error.has_value());
  CHECK(error->kind() == Kind::start_timeout);
  CHECK(error->service() == "slow");
  runner.halt(service);
  CHECK(runner.state(service) == State::halted);
}

TEST_CASE("a start ends when its stop token does", "[otp][runner]") {
  Gate entered;
  Runner runner;
  const Service service{"slow", [&](ServiceContext& context) {
    entered.open();
    context.await_halt();
  }};
  StopSource stop;
  std::thread other{[&] {
    entered.wait();
    stop.request_stop();
  }};

  CHECK(kind_thrown([&] { runner.start(stop.get_token(), service); }) == Kind::cancelled);
  other.join();

  runner.halt(service);
}

TEST_CASE("an error before ready is in what start throws, and on_end tells of it once",
          "[otp][runner]") {
  const ReportLog log;
  EndListener ends;
  Runner runner{{.on_end = ends}};
  const Service failing{"web", [](ServiceContext&) { throw std::out_of_range{"no port"}; }};

  const auto error = thrown<ServiceError>([&] { runner.start(failing); });

  REQUIRE(error.has_value());
  CHECK(error->kind() == Kind::failed);
  CHECK(std::string{error->what()} == "service \"web\" failed: no port");
  CHECK_THROWS_AS(std::rethrow_exception(error->reason().cause()), std::out_of_range);
  const auto end = ends.try_take();
  REQUIRE(end.has_value());
  CHECK(end->service == failing);
  CHECK(end->stage == ServiceStage::ready);
  CHECK(end->reason.what() == "exception: no port");
  CHECK_FALSE(ends.try_take().has_value());
  CHECK(runner.services().empty());
  CHECK(log.count(Report::Kind::crash) == 0);
}

TEST_CASE("returning without ready is an error", "[otp][runner]") {
  EndListener ends;
  Runner runner{{.on_end = ends}};
  const Service silent{"silent", [](ServiceContext&) {}};

  CHECK(kind_thrown([&] { runner.start(silent); }) == Kind::not_ready);

  CHECK(ends.take().stage == ServiceStage::ready);
}

TEST_CASE("returning before the service is halted is an error that on_end tells of, once",
          "[otp][runner]") {
  const ReportLog log;
  EndListener ends;
  Runner runner{{.on_end = ends}};
  const Service brief{"brief", [](ServiceContext& context) { context.ready(); }};

  runner.start(brief);

  const ServiceEnd end = ends.take();
  CHECK(end.service == brief);
  CHECK(end.stage == ServiceStage::run);
  CHECK(kind_thrown([&] { raise({{"brief", end.reason}}); }) == Kind::service_ended);
  CHECK(eventually([&] { return runner.services().empty(); }));
  CHECK_FALSE(ends.try_take().has_value());
}

TEST_CASE("the stop token of a service that has ended tells that", "[otp][runner]") {
  const ReportLog log;
  FailureListener failures;
  Gate has_ended;
  Gate is_told;
  Runner runner{{.on_end = failures}};
  std::thread inner;
  const Service service{"brief", [&](ServiceContext& context) {
    context.ready();
    inner = std::thread{[&, context] {
      has_ended.wait();
      context.await_halt();
      is_told.open();
    }};
  }};

  runner.start(service);
  CHECK(failures.take().stage == ServiceStage::run);
  has_ended.open();
  is_told.wait();
  inner.join();
}

TEST_CASE("threads of a service learn that it has to halt", "[otp][runner]") {
  Runner runner;
  std::atomic<bool> is_told{false};
  const Service service{"two threads", [&](ServiceContext& context) {
    std::thread inner{[&is_told, context] {
      while (!context.sleep_for(1h)) {
      }
      is_told = true;
    }};
    context.ready();
    inner.join();
  }};

  runner.start(service);
  runner.halt(service);

  CHECK(is_told);
}

TEST_CASE("several services start together and halt together", "[otp][runner]") {
  Runner runner;
  const Service a{"a", run_until_halted};
  const Service b{"b", run_until_halted};
  const Service c{"c", run_until_halted};

  runner.start(a, b);
  runner.start({c});
  CHECK(runner.services().size() == 3);
  runner.halt_for(10s, {a, b});
  CHECK(runner.services().size() == 1);
  runner.halt(std::vector<Service>{a, b, c});

  CHECK(runner.services().empty());
}

TEST_CASE("if one of several fails, the others are halted", "[otp][runner]") {
  Runner runner;
  const Service good{"good", run_until_halted};
  const Service endless{"endless", [](ServiceContext& context) { context.await_halt(); }};
  const Service bad{"bad", [](ServiceContext&) { throw std::runtime_error{"no"}; }};

  CHECK_THROWS_AS(runner.start(good, endless, bad), std::runtime_error);

  CHECK(runner.services().empty());
}

TEST_CASE("a failed start halts nothing that ran before", "[otp][runner]") {
  Runner runner;
  const Service before{"before", run_until_halted};
  const Service other{"other", run_until_halted};
  runner.start(before);

  CHECK(kind_thrown([&] { runner.start(other, before); }) == Kind::already_running);

  CHECK(runner.state(before) == State::started);
  CHECK(runner.state(other) == State::halted);
}

TEST_CASE("the others may be kept when one of several fails", "[otp][runner]") {
  Runner runner{{.on_failed_start = OnFailedStart::keep}};
  const Service good{"good", run_until_halted};
  const Service bad{"bad", [](ServiceContext&) { throw std::runtime_error{"no"}; }};
  const Service worse{"worse", [](ServiceContext&) {}};

  const auto errors = thrown<ServiceErrors>([&] { runner.start(good, bad, good, worse); });

  REQUIRE(errors.has_value());
  CHECK(errors->failures().size() == 3);
  CHECK(has(errors->what(), "\"bad\": service \"bad\" failed: no"));
  CHECK(has(errors->what(), "\"good\": service \"good\" runs already"));
  CHECK(runner.state(good) == State::started);
}

TEST_CASE("what a service throws as it halts is in what halt throws", "[otp][runner]") {
  const ReportLog log;
  Runner runner;
  const auto fail = [](ServiceContext& context) {
    context.ready();
    context.await_halt();
    throw std::out_of_range{"not saved"};
  };
  const Service one{"one", fail};
  const Service two{"two", fail};
  runner.start(one, two);

  CHECK(thrown<ServiceErrors>([&] { runner.halt(one, two); })->failures().size() == 2);
  runner.start(one);
  const auto error = thrown<ServiceError>([&] { runner.halt(one); });
  REQUIRE(error.has_value());
  CHECK(error->kind() == Kind::failed);
  CHECK(std::string{error->what()} == "service \"one\" failed: not saved");
  CHECK_THROWS_AS(std::rethrow_exception(error->reason().cause()), std::out_of_range);

  CHECK_NOTHROW(runner.halt(one, two));
}

TEST_CASE("a runner tells its services by their states, in the order of their starts",
          "[otp][runner]") {
  Gate go_on;
  Runner runner;
  const Service first{"first", run_until_halted};
  const Service second = unhaltable(go_on, "second");
  runner.start(second);
  runner.start(first);
  runner.request_halt(second);

  const auto all = runner.services();
  REQUIRE(all.size() == 2);
  CHECK(all[0].service == second);
  CHECK(all[0].state == State::halting);
  CHECK(runner.services({State::started}).size() == 1);
  CHECK(runner.services({State::started, State::halting}).size() == 2);
  CHECK(runner.services({State::halted}).empty());
  go_on.open();
  runner.halt(second);
  CHECK(runner.services().size() == 1);
}

TEST_CASE("one service may run in several runners", "[otp][runner]") {
  Runner one;
  Runner two;
  const Service service{"ticker", run_until_halted};

  one.start(service);
  two.start(service);
  one.halt(service);

  CHECK(one.state(service) == State::halted);
  CHECK(two.state(service) == State::started);
}

TEST_CASE("shutdown halts all, and nothing starts before enable", "[otp][runner]") {
  Runner runner;
  const Service a{"a", run_until_halted};
  const Service b{"b", run_until_halted};
  runner.start(a, b);

  runner.shutdown_for(10s);
  runner.shutdown();
  CHECK(runner.state() == RunnerState::shut_down);
  CHECK(runner.services().empty());
  CHECK(kind_thrown([&] { runner.start(a); }) == Kind::not_enabled);
  CHECK_FALSE(runner.suspend());

  runner.enable();
  CHECK_NOTHROW(runner.start(a));
}

TEST_CASE("a suspended runner starts nothing, and halts nothing", "[otp][runner]") {
  Runner runner;
  const Service a{"a", run_until_halted};
  const Service b{"b", run_until_halted};
  runner.start(a);

  CHECK(runner.suspend());

  CHECK(runner.state() == RunnerState::suspended);
  CHECK(runner.state(a) == State::started);
  CHECK(kind_thrown([&] { runner.start(b); }) == Kind::not_enabled);
  runner.halt(a);
}

TEST_CASE("the destructor halts what runs", "[otp][runner]") {
  std::atomic<bool> is_halted{false};
  {
    Runner runner;
    runner.start(Service{"ticker", [&](ServiceContext& context) {
      context.ready();
      context.await_halt();
      is_halted = true;
    }});
  }

  CHECK(is_halted);
}

TEST_CASE("errors with which a service goes on reach the listeners", "[otp][runner]") {
  std::vector<std::string> told;  // by the service's thread
  Runner runner{{.on_error = [&](const ServiceFault& fault) {
    told.push_back("runner: " + fault.reason.what());
  }}};
  const Service service{"web",
                        [](ServiceContext& context) {
                          context.on_error(std::runtime_error{"early"});
                          context.ready();
                          context.on_error(std::runtime_error{"late"});
                          context.await_halt();
                        },
                        {.on_error = [&](const ServiceFault& fault) {
                          const bool is_ready = fault.stage == ServiceStage::run;
                          told.push_back(is_ready ? "run" : "ready");
                        }}};

  runner.start(service);
  runner.halt(service);

  CHECK(told == std::vector<std::string>{"runner: exception: early", "ready",
                                         "runner: exception: late", "run"});
}
