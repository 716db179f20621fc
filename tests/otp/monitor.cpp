// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/monitor.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Downs = std::vector<Down>;

const auto remember = [](Downs& downs, const Down& down) { downs.push_back(down); };

Downs downs_of(const GenServer<Downs>& observer) {
  return observer.call([](Downs& downs) { return downs; });
}

}  // namespace

TEST_CASE("a monitor tells once who has ended and why", "[otp][monitor]") {
  GenServer<Downs> observer{};
  GenServer<int> target{{.name = "target"}, 0};
  const Monitor monitor = observer.monitor(target, remember);

  CHECK(monitor.is_active());
  target.stop(ExitReason::shutdown("upgrade"));

  const Downs downs = downs_of(observer);  // the Down was queued before stop() returned
  REQUIRE(downs.size() == 1);
  CHECK(downs[0].who == target);
  CHECK(downs[0].who == target.pid());
  CHECK(downs[0].name == "target");
  CHECK(downs[0].reason == ExitReason::shutdown("upgrade"));
  CHECK_FALSE(monitor.is_active());
}

TEST_CASE("a Down tells of an exception, an Exit, a kill and a dropped owner", "[otp][monitor]") {
  const ReportLog log;
  GenServer<Downs> observer{};
  GenServer<int> crashing{{}, 0};
  GenServer<int> exiting{{}, 0};
  GenServer<int> killed{{}, 0};
  auto dropped = std::make_unique<GenServer<int>>(Options{}, 0);
  for (const AnyRef& each : {AnyRef{crashing}, AnyRef{exiting}, AnyRef{killed}, AnyRef{*dropped}}) {
    observer.monitor(each, remember);
  }

  crashing.cast([] { throw std::runtime_error{"crashed"}; });
  crashing.wait();
  exiting.cast([] { throw Exit{ExitReason::shutdown()}; });
  exiting.wait();
  killed.kill();
  dropped.reset();

  const Downs downs = downs_of(observer);
  REQUIRE(downs.size() == 4);
  CHECK(downs[0].reason.what() == "exception: crashed");
  CHECK(downs[1].reason == ExitReason::shutdown());
  CHECK(downs[2].reason == ExitReason::killed());
  CHECK(downs[3].reason == ExitReason::normal());
}

TEST_CASE("a server that has ended before is down at once, with the reason no_server",
          "[otp][monitor]") {
  GenServer<Downs> observer{};
  GenServer<int> target{{}, 0};
  target.stop();

  observer.monitor(target, remember);

  REQUIRE(downs_of(observer).size() == 1);
  CHECK(downs_of(observer)[0].reason == ExitReason::no_server());
}

TEST_CASE("a Down comes after the last message of the server that ended", "[otp][monitor]") {
  GenServer<std::vector<std::string>> observer{};
  GenServer<int> target{{}, 0};
  observer.monitor(target, [](std::vector<std::string>& log, const Down&) {
    log.push_back("down");
  });

  target.cast([&] {
    for (int i = 0; i < 3; ++i) {
      observer.cast([](std::vector<std::string>& log) { log.push_back("message"); });
    }
  });
  target.stop();

  CHECK(observer.call([](std::vector<std::string>& log) { return log; }) ==
        std::vector<std::string>{"message", "message", "message", "down"});
}

TEST_CASE("a cancelled monitor is silent, even if its Down was on its way", "[otp][monitor]") {
  GenServer<Downs> observer{};
  GenServer<int> first{{}, 0};
  GenServer<int> second{{}, 0};
  Monitor armed = observer.monitor(first, remember);
  Monitor on_its_way = observer.monitor(second, remember);

  CHECK(armed.cancel());
  first.stop();
  {
    Hold hold{observer};
    second.stop();
    CHECK(on_its_way.cancel());
    CHECK_FALSE(on_its_way.cancel());
  }

  CHECK(downs_of(observer).empty());
}

TEST_CASE("cancelling what has come already says so", "[otp][monitor]") {
  GenServer<Downs> observer{};
  GenServer<int> target{{}, 0};
  Monitor monitor = observer.monitor(target, remember);
  target.stop();
  REQUIRE(downs_of(observer).size() == 1);

  CHECK_FALSE(monitor.cancel());
  CHECK_FALSE(Monitor{}.cancel());
}

TEST_CASE("every monitor of the same server tells", "[otp][monitor]") {
  GenServer<Downs> observer{};
  GenServer<int> target{{}, 0};
  for (int i = 0; i < 3; ++i) observer.monitor(target, remember);

  target.stop();

  CHECK(downs_of(observer).size() == 3);
}

TEST_CASE("a Down finds its way into a full mailbox", "[otp][monitor]") {
  const ReportLog log;
  GenServer<Downs> observer{{.mailbox_capacity = 1, .on_full = OnFull::fail}};
  GenServer<int> target{{}, 0};
  observer.monitor(target, remember);
  {
    Hold hold{observer};
    observer.cast([] {});
    CHECK_FALSE(observer.cast([] {}));
    target.stop();
  }

  CHECK(downs_of(observer).size() == 1);
}

TEST_CASE("a State may take Downs as messages", "[otp][monitor]") {
  struct Observer {
    void handle_info(const Down& down) { ended.push_back(down.name); }
    std::vector<std::string> ended{};
  };
  GenServer<Observer> observer{};
  GenServer<int> target{{.name = "target"}, 0};
  observer.monitor(target);

  target.stop();

  CHECK(observer.call([](Observer& state) { return state.ended; }) ==
        std::vector<std::string>{"target"});
}

TEST_CASE("an observer that has ended is told nothing, and keeps nothing", "[otp][monitor]") {
  const auto kept = std::make_shared<int>(0);
  GenServer<int> target{{}, 0};
  {
    GenServer<Downs> observer{};
    for (int i = 0; i < 10; ++i) {
      observer.monitor(target, [kept](Downs&, const Down&) {});
    }
    CHECK(kept.use_count() == 11);
    observer.stop();
    CHECK_THROWS_AS(observer.monitor(target, remember), ServerGone);
  }

  CHECK(kept.use_count() == 1);
}

TEST_CASE("a Down that comes while its observer ends keeps nothing", "[otp][monitor]") {
  struct Ending {
    void terminate(const ExitReason&) const {
      gates->first.open();
      gates->second.wait();
    }
    std::shared_ptr<std::pair<Gate, Gate>> gates;
  };
  const auto kept = std::make_shared<int>(0);
  const auto gates = std::make_shared<std::pair<Gate, Gate>>();
  GenServer<int> early{{}, 0};
  GenServer<int> late{{}, 0};
  GenServer<Ending> observer{{}, gates};
  for (const AnyRef& each : {AnyRef{early}, AnyRef{late}}) {
    observer.monitor(each, [kept](const Down&) {});
  }
  {
    Hold hold{observer};
    observer.request_stop();
    early.stop();  // its Down is queued behind the stop
  }
  gates->first.wait();
  late.stop();  // its Down is refused
  gates->second.open();

  observer.stop();

  CHECK(kept.use_count() == 1);
}

TEST_CASE("a server that hangs in on_down can be killed", "[otp][monitor]") {
  const ReportLog log;
  const auto gates = std::make_shared<std::pair<Gate, Gate>>();
  GenServer<int> observer{{}, 0};
  GenServer<int> target{{}, 0};
  observer.monitor(target, [gates](const Down&) {
    gates->first.open();
    gates->second.wait();
  });
  target.stop();
  gates->first.wait();

  observer.kill();

  CHECK(observer.exit_reason() == ExitReason::killed());
  gates->second.open();
}

TEST_CASE("an exception in on_down ends the server that watches", "[otp][monitor]") {
  const ReportLog log;
  GenServer<int> observer{{}, 0};
  GenServer<int> target{{}, 0};
  observer.monitor(target, [](const Down&) { throw std::runtime_error{"crashed"}; });

  target.stop();
  observer.wait();

  CHECK(observer.exit_reason()->what() == "exception: crashed");
}

TEST_CASE("a server may watch itself, in vain", "[otp][monitor]") {
  GenServer<Downs> server{};
  Monitor monitor = server.monitor(server, remember);

  server.stop();

  CHECK_FALSE(server.is_alive());
}

TEST_CASE("a plain thread may wait for a server's end", "[otp][monitor]") {
  GenServer<int> server{{}, 0};
  const AnyRef ref = server;
  CHECK_FALSE(ref.wait_for(1ms));
  std::thread stopping{[&] { server.stop(); }};

  ref.wait();
  stopping.join();

  CHECK_FALSE(ref.is_alive());
  CHECK(ref.wait_for(0ms));
  CHECK_THROWS_AS(AnyRef{}.wait(), InvalidArgument);
}

TEST_CASE("an empty reference cannot be monitored", "[otp][monitor]") {
  GenServer<Downs> observer{};

  CHECK_THROWS_AS(observer.monitor(AnyRef{}, remember), InvalidArgument);
}

TEST_CASE("each of many monitors gets exactly one Down, however the target ends",
          "[otp][monitor][.stress]") {
  const ReportLog log;
  const auto end = [](GenServer<int>& target, int way) {
    switch (way % 4) {
      case 0: target.stop(); break;
      case 1: target.cast([] { throw std::runtime_error{"crashed"}; }); break;
      case 2: target.kill(); break;
      default: target.exit(ExitReason::shutdown()); break;
    }
  };
  for (int round = 0; round < 80; ++round) {
    std::atomic<int> made{0};
    std::atomic<int> downs{0};
    std::atomic<int> cancelled{0};
    {
      GenServer<int> target{{}, 0};
      std::vector<std::unique_ptr<GenServer<int>>> observers;
      std::vector<std::thread> threads;
      for (int i = 0; i < 4; ++i) {
        observers.push_back(std::make_unique<GenServer<int>>(Options{}, 0));
        threads.emplace_back([&, &observer = *observers.back()] {
          for (int n = 0; n < 20; ++n) {
            Monitor monitor = observer.monitor(target, [&](const Down&) { ++downs; });
            ++made;
            if (n % 5 == 0 && monitor.cancel()) ++cancelled;
          }
        });
      }
      end(target, round);
      for (std::thread& thread : threads) thread.join();
      target.wait();
      for (auto& observer : observers) observer->stop();
    }
    CHECK(downs + cancelled == made);
  }
}
