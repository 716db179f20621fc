// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/service_server.hpp>

#include <genserver/core/snapshot.hpp>
#include <genserver/otp/link.hpp>
#include <genserver/otp/monitor.hpp>

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

using namespace genserver;
using namespace std::chrono_literals;

namespace {

const ServerSnapshot* find(const Snapshot& all, const std::string& name) {
  for (const ServerSnapshot& server : all.servers) {
    if (server.name == name) return &server;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("a service is a server that one can find, and that ends when it is stopped",
          "[otp][service_server]") {
  ServiceServer server{Service{"ticker", run_until_halted}};
  const Snapshot all = snapshot();

  REQUIRE(find(all, "ticker") != nullptr);
  CHECK(find(all, "ticker")->pid == server.pid());
  CHECK(server.state() == ServiceState::started);

  server.stop(ExitReason::shutdown("upgrade"));

  CHECK(server.exit_reason() == ExitReason::shutdown("upgrade"));
  CHECK(server.state() == ServiceState::halted);
}

TEST_CASE("dropping the owner halts the service", "[otp][service_server]") {
  bool is_halted = false;
  const Service service{"ticker", [&](ServiceContext& context) {
    context.ready();
    context.await_halt();
    is_halted = true;
  }};
  {
    const auto server = start<ServiceServer>(service);
    CHECK(server->is_alive());
  }

  CHECK(is_halted);
}

TEST_CASE("a service that fails as it starts throws where it is started", "[otp][service_server]") {
  const ReportLog log;

  const auto error = thrown<std::runtime_error>([] {
    ServiceServer{Service{"web", [](ServiceContext&) { throw std::runtime_error{"no port"}; }}};
  });
  REQUIRE(error.has_value());
  CHECK(std::string{error->what()} == "no port");

  const auto silent = thrown<ServiceError>([] { ServiceServer{Service{"web", [](auto&) {}}}; });
  REQUIRE(silent.has_value());
  CHECK(silent->kind() == ServiceError::Kind::not_ready);
  CHECK(log.count(Report::Kind::crash) == 0);  // the starter knows
}

TEST_CASE("a service that returns unasked, or throws, ends its server abnormally",
          "[otp][service_server]") {
  const ReportLog log;
  ServiceServer returning{Service{"returning", [](ServiceContext& context) { context.ready(); }}};
  ServiceServer throwing{Service{"throwing", [](ServiceContext& context) {
    context.ready();
    throw std::runtime_error{"lost"};
  }}};

  returning.wait();
  throwing.wait();

  REQUIRE(returning.exit_reason()->cause() != nullptr);
  CHECK_THROWS_AS(std::rethrow_exception(returning.exit_reason()->cause()), ServiceError);
  CHECK(throwing.exit_reason()->what() == "exception: lost");
  CHECK(log.count(Report::Kind::crash) == 2);
}

TEST_CASE("an exit signal ends what a service waits for in the library", "[otp][service_server]") {
  Gate entered;
  Gate go_on;  // outlives who waits for it
  GenServer<int> slow{{}, 0};
  slow.cast([&] { go_on.wait(); });
  ServiceServer server{Service{"asking", [&](ServiceContext& context) {
    context.ready();
    entered.open();
    slow.call([] {});
  }}};
  entered.wait();

  server.exit(ExitReason::shutdown("enough"));
  server.wait();
  go_on.open();

  CHECK(server.exit_reason() == ExitReason::shutdown("enough"));
}

TEST_CASE("a wish to stop does not end what a service waits for in the library",
          "[otp][service_server]") {
  GenServer<int> store{{}, 0};
  ServiceServer server{Service{"saving", [&](ServiceContext& context) {
    context.ready();
    context.await_halt();
    store.call([](int& n) { n = 1; });
    genserver::sleep_for(1ms);
  }}};

  server.stop();

  CHECK(server.exit_reason() == ExitReason::normal());
  CHECK(store.call([](int& n) { return n; }) == 1);
}

TEST_CASE("a service may be linked and monitored, and call its context's server by name",
          "[otp][service_server]") {
  const ReportLog log;
  struct Watcher {
    void handle_info(const ExitSignal& signal) { seen.push_back(signal.name); }
    std::vector<std::string> seen{};
  };
  GenServer<Watcher> watcher{};
  watcher.trap_exits(true);
  Gate go_on;
  AnyRef own;
  ServiceServer server{Service{"linked", [&](ServiceContext& context) {
    own = context.server();
    context.ready();
    go_on.wait();
    throw std::runtime_error{"lost"};
  }}};
  watcher.link(server);
  watcher.monitor(server, [](Watcher& state, const Down& down) {
    state.seen.push_back(down.name);
  });

  go_on.open();
  server.wait();

  CHECK(own == server);
  CHECK(watcher.call([](Watcher& state) { return state.seen; }) ==
        std::vector<std::string>{"linked", "linked"});
}

TEST_CASE("a service without a runner has none", "[otp][service_server]") {
  std::string message;
  ServiceServer server{Service{"alone", [&](ServiceContext& context) {
    message = thrown<InvalidArgument>([&] { static_cast<void>(context.runner()); })->what();
    context.ready();
    context.await_halt();
  }}};

  CHECK(has(message, "\"alone\""));
}

TEST_CASE("a handler that starts a service which calls it back is a deadlock",
          "[otp][service_server]") {
  const ReportLog log;
  GenServer<int> starter{{.name = "starter"}, 0};
  const Service service{"calling", [&](ServiceContext& context) {
    starter.call([] {});
    context.ready();
  }};

  CHECK_THROWS_AS(starter.call([&] { ServiceServer{service}; }), Deadlock);

  CHECK(log.count(Report::Kind::deadlock) >= 1);  // also of the owner, which would wait for it
  CHECK(starter.call([] { return 1; }) == 1);
}

TEST_CASE("who waits for a service to start leaves with an exit signal", "[otp][service_server]") {
  Gate entered;
  bool is_halted = false;
  const Service service{"slow", [&](ServiceContext& context) {
    entered.open();
    context.await_halt();
    is_halted = true;
  }};
  GenServer<int> starter{{}, 0};
  starter.cast([&] { ServiceServer{service}; });
  entered.wait();

  starter.exit(ExitReason::shutdown());
  starter.wait();

  CHECK(is_halted);
  CHECK(starter.exit_reason() == ExitReason::shutdown());
}

TEST_CASE("many services are started and stopped by several threads", "[otp][service_server]") {
  std::vector<std::thread> threads;
  std::atomic<int> halted{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 30; ++n) {
        const Service service{"one", [&](ServiceContext& context) {
          context.ready();
          context.await_halt();
          ++halted;
        }};
        const auto server = start<ServiceServer>(service);
        if (n % 2 == 0) server->request_stop();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(halted == 120);
}
