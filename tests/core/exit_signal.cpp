// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/exit_signal.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>

#include <stdexcept>
#include <string>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

struct Trapping {
  void handle_info(const ExitSignal& signal) {
    if (signal.reason == ExitReason::shutdown("throw")) throw std::runtime_error{"crashed"};
    reasons.push_back(signal.reason.what());
  }
  std::vector<std::string> reasons{};
};

}  // namespace

TEST_CASE("a State traps exits if it takes them as messages", "[core][exit_signal]") {
  CHECK(TrapsExits<Trapping>);
  CHECK_FALSE(TrapsExits<int>);
}

TEST_CASE("a trapping server gets signals in order with other messages, also in a full mailbox",
          "[core][exit_signal]") {
  const ReportLog log;
  GenServer<Trapping> server{{.mailbox_capacity = 1, .on_full = OnFull::fail}};
  server.trap_exits(true);
  {
    Hold hold{server};
    server.cast([](Trapping& state) { state.reasons.push_back("message"); });
    server.exit(ExitReason::normal());
    server.exit(ExitReason::shutdown("upgrade"));
  }

  CHECK(server.call([](Trapping& state) { return state.reasons; }) ==
        std::vector<std::string>{"message", "normal", "shutdown: upgrade"});
}

TEST_CASE("an exception in the handling of a signal ends the server", "[core][exit_signal]") {
  const ReportLog log;
  GenServer<Trapping> server{};
  server.trap_exits(true);

  server.exit(ExitReason::shutdown("throw"));
  server.wait();

  CHECK(server.exit_reason()->what() == "exception: crashed");
}

TEST_CASE("a server that has ended takes no signals", "[core][exit_signal]") {
  GenServer<int> server{{}, 0};
  server.stop();

  server.exit(ExitReason::shutdown());

  CHECK(server.exit_reason() == ExitReason::normal());
}

TEST_CASE("the second signal changes nothing", "[core][exit_signal]") {
  GenServer<int> server{{}, 0};
  {
    Hold hold{server};
    server.exit(ExitReason::shutdown("first"));
    server.exit(ExitReason::shutdown("second"));
  }
  server.wait();

  CHECK(server.exit_reason() == ExitReason::shutdown("first"));
}

TEST_CASE("a suspended server ends by a signal", "[core][exit_signal]") {
  GenServer<int> server{{}, 0};
  server.suspend();

  server.exit(ExitReason::shutdown());
  server.wait();

  CHECK(server.exit_reason() == ExitReason::shutdown());
}

TEST_CASE("sleep_for sleeps on any thread", "[core][exit_signal]") {
  const auto before = std::chrono::steady_clock::now();

  sleep_for(2ms);

  CHECK(std::chrono::steady_clock::now() - before >= 2ms);
}
