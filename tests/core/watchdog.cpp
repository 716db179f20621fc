// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/watchdog.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>

#include <atomic>
#include <string>
#include <thread>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

constexpr auto start_of_time = Watchdog::Clock::time_point{1000h};

/// Returns the reports on `pid` when a watchdog of its own looks at `now`.
std::vector<Report> reports_on(Pid pid, Watchdog& watchdog, Watchdog::Clock::time_point now) {
  std::vector<Report> found;
  for (Report& report : watchdog.inspect(now)) {
    if (report.pid == pid) found.push_back(std::move(report));
  }
  return found;
}

/// A server whose handler runs until the end of the scope. Its own stuck_after is so long that
/// only the watchdog of the test, with its own clock, reports it.
class BusyServer {
 public:
  explicit BusyServer(std::chrono::nanoseconds stuck_after)
      : server_{{.name = "busy", .stuck_after = stuck_after}, 0} {
    server_.cast([this](int&) {
      is_running_.open();
      may_end_.wait();
    });
    is_running_.wait();
  }
  ~BusyServer() { end(); }
  BusyServer(const BusyServer&) = delete;
  BusyServer& operator=(const BusyServer&) = delete;

  void end() { may_end_.open(); }
  GenServer<int>& server() { return server_; }

 private:
  Gate is_running_{};
  Gate may_end_{};
  GenServer<int> server_;
};

}  // namespace

TEST_CASE("a handler is reported once it has run for stuck_after", "[core][watchdog]") {
  BusyServer busy{1h};
  Watchdog watchdog;
  const Pid pid = busy.server().pid();

  CHECK(reports_on(pid, watchdog, start_of_time).empty());
  CHECK(reports_on(pid, watchdog, start_of_time + 59min).empty());
  const auto reports = reports_on(pid, watchdog, start_of_time + 61min);

  REQUIRE(reports.size() == 1);
  CHECK(reports[0].kind == Report::Kind::stuck);
  CHECK(reports[0].server == "busy");
  CHECK(reports[0].age == 61min);
  CHECK(reports[0].site.file_name() == "watchdog.cpp");
  CHECK(reports[0].mailbox_capacity == 4096);
  REQUIRE(reports[0].stacks.size() == 1);
  CHECK(!reports[0].stacks[0].stack.frames.empty());
}

TEST_CASE("a handler that stays stuck is reported again at doubling ages", "[core][watchdog]") {
  BusyServer busy{1h};
  Watchdog watchdog;
  const Pid pid = busy.server().pid();
  reports_on(pid, watchdog, start_of_time);
  std::vector<int> hours_of_reports;

  for (int hour = 1; hour <= 9; ++hour) {
    const auto now = start_of_time + std::chrono::hours{hour};
    if (!reports_on(pid, watchdog, now).empty()) hours_of_reports.push_back(hour);
  }

  CHECK(hours_of_reports == std::vector<int>{1, 2, 4, 8});
}

TEST_CASE("a server that goes on from message to message is not stuck", "[core][watchdog]") {
  BusyServer busy{1h};
  Watchdog watchdog;
  const Pid pid = busy.server().pid();
  reports_on(pid, watchdog, start_of_time);

  busy.end();
  busy.server().call([](int&) {});

  CHECK(reports_on(pid, watchdog, start_of_time + 2h).empty());
  CHECK(reports_on(pid, watchdog, start_of_time + 9h).empty());
}

TEST_CASE("stuck_after 0 turns the watchdog off for that server", "[core][watchdog]") {
  BusyServer busy{0s};
  Watchdog watchdog;
  const Pid pid = busy.server().pid();
  reports_on(pid, watchdog, start_of_time);

  CHECK(reports_on(pid, watchdog, start_of_time + 1000h).empty());
}

TEST_CASE("a report on a stuck server says whom it waits for", "[core][watchdog]") {
  BusyServer busy{1h};
  GenServer<int> caller{{.name = "caller", .stuck_after = 1h}, 0};
  Gate calls;
  caller.cast([&](int&) {
    calls.open();
    busy.server().call([](int&) {});
  });
  calls.wait();
  Watchdog watchdog;
  reports_on(caller.pid(), watchdog, start_of_time);

  std::vector<Report> reports;
  auto now = start_of_time + 1h;
  const bool is_seen = eventually([&] {
    reports = reports_on(caller.pid(), watchdog, now);
    now += 24h * 365;
    return !reports.empty() && !reports[0].cycle.empty();
  });

  REQUIRE(is_seen);
  CHECK(reports[0].cycle[0].waiter == "caller");
  CHECK(reports[0].cycle[0].target == "busy");
  busy.end();
}

TEST_CASE("the watchdog's own thread reports a stuck server and its caller", "[core][watchdog]") {
  const ReportLog log;
  Gate may_end;
  GenServer<int> server{{.name = "slow", .stuck_after = 20ms}, 0};
  std::thread client{[&] { server.call([&](int&) { may_end.wait(); }); }};

  const bool is_reported = eventually([&] {
    for (const Report& report : log.of(Report::Kind::stuck)) {
      if (report.server == "slow" && !report.callers.empty() && report.age >= 20ms) return true;
    }
    return false;
  });
  may_end.open();
  client.join();

  CHECK(is_reported);
}

TEST_CASE("a caller whose answer is left for later is reported too", "[core][watchdog]") {
  struct Parked {
    std::vector<Reply<int>> replies{};
  };
  const ReportLog log;
  GenServer<Parked> server{{.name = "parked", .stuck_after = 20ms}};
  std::thread client{[&] {
    server.call<int>([](Parked& state, Reply<int> reply) {
      state.replies.push_back(std::move(reply));
    });
  }};

  const bool is_reported = eventually([&] {
    for (const Report& report : log.of(Report::Kind::stuck)) {
      if (report.server == "parked" && report.callers.size() == 1) return true;
    }
    return false;
  });
  server.call([](Parked& state) { state.replies.front().reply(1); });
  client.join();

  CHECK(is_reported);
}

TEST_CASE("with detection off the watchdog reports every member of a circle", "[core][watchdog]") {
  const ReportLog log;
  const auto options = [](const std::string& name) {
    return Options{.name = name, .stuck_after = 20ms, .on_deadlock = OnDeadlock::ignore};
  };
  GenServer<int> connection{options("connection"), 0};
  GenServer<int> peer{options("peer"), 0};
  std::atomic<bool> is_enough{false};
  auto circle = connection.async_call([&](int&) {
    peer.call([&](int&) {
      while (!is_enough) {
        try {
          connection.call_for(10ms, [](int& n) { return n; });
        } catch (const CallTimeout&) {  // as expected: the circle is closed
        }
      }
    });
  });
  const auto is_reported = [&](const std::string& server, const std::string& waits_for) {
    for (const Report& report : log.of(Report::Kind::stuck)) {
      if (report.server != server || report.stacks[0].stack.frames.empty()) continue;
      if (!report.cycle.empty() && report.cycle[0].target == waits_for) return true;
    }
    return false;
  };

  CHECK(eventually([&] {
    return is_reported("connection", "peer") && is_reported("peer", "connection");
  }));
  is_enough = true;
  circle.get();
}

TEST_CASE("a report on a stuck server says which server sent what it runs", "[core][watchdog]") {
  GenServer<int> sender{{.name = "sender"}, 0};
  GenServer<int> server{{.name = "busy", .stuck_after = 1h}, 0};
  Gate is_running;
  Gate may_end;
  sender.call([&] {
    server.cast([&] {
      is_running.open();
      may_end.wait();
    });
  });
  is_running.wait();
  Watchdog watchdog;
  reports_on(server.pid(), watchdog, start_of_time);

  const auto reports = reports_on(server.pid(), watchdog, start_of_time + 2h);
  may_end.open();

  REQUIRE(reports.size() == 1);
  CHECK(reports[0].client == "sender");
  CHECK(reports[0].client_pid == sender.pid());
  server.stop();  // before the gates go
}

TEST_CASE("callers that wait for a suspended server are reported with the reason",
          "[core][watchdog]") {
  const ReportLog log;
  GenServer<int> server{{.name = "suspended", .stuck_after = 20ms}, 0};
  server.suspend();
  std::thread client{[&] { server.call([] {}); }};

  const bool is_reported = eventually([&] {
    for (const Report& report : log.of(Report::Kind::stuck)) {
      if (report.server == "suspended" && report.outcome.starts_with("the server is suspended")) {
        return true;
      }
    }
    return false;
  });
  server.resume();
  client.join();

  CHECK(is_reported);
}
