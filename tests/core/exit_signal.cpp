// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/exit_signal.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
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

/// Is thrown with something that counts who still has it.
struct Carrying {
  std::shared_ptr<int> kept;
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

TEST_CASE("a signal keeps nothing, whether it was handled, refused or came too late",
          "[core][exit_signal]") {
  const auto kept = std::make_shared<int>(0);
  GenServer<Trapping> server{};
  server.trap_exits(true);
  const auto signal = [&] {
    server.exit(ExitReason::exception(std::make_exception_ptr(Carrying{kept})));
  };

  signal();
  server.call([] {});
  CHECK(kept.use_count() == 1);
  {
    Hold hold{server};
    server.request_stop();
    signal();
  }
  server.stop();
  CHECK(kept.use_count() == 1);
  signal();
  CHECK(kept.use_count() == 1);
}

TEST_CASE("a server that hangs in the handling of a signal can be killed", "[core][exit_signal]") {
  struct Hanging {
    void handle_info(const ExitSignal&) const {
      gates->first.open();
      gates->second.wait();
    }
    std::shared_ptr<std::pair<Gate, Gate>> gates;
  };
  const ReportLog log;
  const auto gates = std::make_shared<std::pair<Gate, Gate>>();
  GenServer<Hanging> server{{}, gates};
  server.trap_exits(true);
  server.exit(ExitReason::normal());
  gates->first.wait();

  server.kill();

  CHECK(server.exit_reason() == ExitReason::killed());
  gates->second.open();
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
  for (int round = 0; round < 20; ++round) {  // in most of them the signal finds it asleep
    GenServer<int> server{{}, 0};
    server.suspend();

    server.exit(ExitReason::shutdown());
    server.wait();

    CHECK(server.exit_reason() == ExitReason::shutdown());
  }
}

TEST_CASE("sleep_for sleeps on any thread", "[core][exit_signal]") {
  const auto before = std::chrono::steady_clock::now();

  sleep_for(2ms);

  CHECK(std::chrono::steady_clock::now() - before >= 2ms);
}

TEST_CASE("a signal for a handler that waits for an end wakes nobody else who does",
          "[core][exit_signal]") {
  GenServer<int> target{{}, 0};
  GenServer<int> waiting{{}, 0};
  Hold hold{target};
  std::atomic<bool> has_returned{false};
  std::thread plain{[&] {
    target.wait();
    has_returned = true;
  }};
  std::atomic<bool> is_waiting{false};
  waiting.cast([&] {
    is_waiting = true;
    target.wait();
  });
  CHECK(eventually([&] { return is_waiting.load(); }));
  waiting.exit(ExitReason::shutdown());
  waiting.wait();

  CHECK_FALSE(target.wait_for(5ms));
  CHECK_FALSE(has_returned);
  hold.let_go();
  target.request_stop();
  plain.join();
}

TEST_CASE("an owner in a handler with a pending signal waits for what it owns all the same",
          "[core][exit_signal]") {
  GenServer<int> server{{}, 0};
  std::atomic<int> handled{0};
  const bool stops_first = GENERATE(true, false);
  server.cast([&] {
    server.exit(ExitReason::shutdown());
    int local = 0;
    GenServer<int> owned{{}, 0};
    owned.cast([] {  // gives who does not wait the time to be first
      for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    });
    for (int i = 0; i < 50; ++i) owned.cast([&] { handled = ++local; });
    if (stops_first) owned.stop();
  });
  server.wait();

  CHECK(handled == 50);
}

TEST_CASE("a signal while State is being made is told to who starts it", "[core][exit_signal]") {
  struct Waiting {
    explicit Waiting(AnyRef& started) {
      started = self<Waiting>();
      self<Waiting>().exit(ExitReason::shutdown("early"));
      sleep_for(1h);
    }
  };
  AnyRef started;

  CHECK_THROWS_AS((GenServer<Waiting>{{}, started}), StartFailed);
  CHECK(started.exit_reason() == ExitReason::shutdown("early"));
}
