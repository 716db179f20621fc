// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/link.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

struct Trapping {
  void handle_info(const ExitSignal& signal) { signals.push_back(signal); }
  std::vector<ExitSignal> signals{};
};

std::vector<ExitSignal> signals_of(const GenServer<Trapping>& server) {
  return server.call([](Trapping& state) { return state.signals; });
}

void crash(const GenServer<int>& server) {
  server.cast([] { throw std::runtime_error{"crashed"}; });
  server.wait();
}

/// Returns what tells `peer` of the end of `server`.
std::weak_ptr<ExitWatcher> link_to(const AnyRef& peer, const AnyRef& server) {
  const std::scoped_lock lock{LinkWatcher::mutex()};
  const auto& links = server.shared_core()->links();
  const auto found = links.find(peer.pid());
  return found == links.end() ? nullptr : found->second;
}

}  // namespace

TEST_CASE("an abnormal end takes the linked servers along, with the same reason", "[otp][link]") {
  const ReportLog log;
  GenServer<int> first{{}, 0};
  GenServer<int> second{{}, 0};
  GenServer<int> third{{}, 0};
  first.link(second);
  second.link(third);

  crash(first);
  third.wait();

  CHECK(second.exit_reason() == first.exit_reason());
  CHECK(third.exit_reason() == first.exit_reason());
  CHECK(log.count(Report::Kind::crash) == 1);
}

TEST_CASE("a link works in both directions", "[otp][link]") {
  const ReportLog log;
  GenServer<int> first{{}, 0};
  GenServer<int> second{{}, 0};
  first.link(second);

  crash(second);
  first.wait();

  CHECK(first.exit_reason() == second.exit_reason());
}

TEST_CASE("a normal end leaves the linked servers alone, shutdown does not", "[otp][link]") {
  GenServer<int> first{{}, 0};
  GenServer<int> second{{}, 0};
  GenServer<int> third{{}, 0};
  first.link(second);
  second.link(third);

  first.stop();
  CHECK(second.call([] { return 1; }) == 1);
  second.stop(ExitReason::shutdown("upgrade"));
  third.wait();

  CHECK(third.exit_reason() == ExitReason::shutdown("upgrade"));
}

TEST_CASE("after unlink no signal comes, from whichever side", "[otp][link]") {
  const ReportLog log;
  GenServer<int> first{{}, 0};
  GenServer<int> second{{}, 0};
  first.link(second);
  second.unlink(first);

  crash(first);

  CHECK(second.call([] { return 1; }) == 1);
}

TEST_CASE("two servers have one link, however often they are linked", "[otp][link]") {
  const ReportLog log;
  GenServer<int> first{{}, 0};
  GenServer<int> second{{}, 0};
  for (int i = 0; i < 3; ++i) {
    first.link(second);
    second.link(first);
  }
  first.unlink(second);

  crash(first);

  CHECK(second.is_alive());
}

TEST_CASE("a server that traps exits is told of every end", "[otp][link]") {
  const ReportLog log;
  GenServer<Trapping> server{};
  GenServer<int> ending{{.name = "ending"}, 0};
  GenServer<int> crashing{{.name = "crashing"}, 0};
  server.trap_exits(true);
  server.link(ending);
  crashing.link(server);

  ending.stop();
  crash(crashing);

  const auto signals = signals_of(server);
  REQUIRE(signals.size() == 2);
  CHECK(signals[0].who == ending);
  CHECK(signals[0].name == "ending");
  CHECK(signals[0].reason == ExitReason::normal());
  CHECK(signals[1].who == crashing.pid());
  CHECK(signals[1].reason.what() == "exception: crashed");
}

TEST_CASE("a server that traps no more ends with its peer", "[otp][link]") {
  const ReportLog log;
  GenServer<Trapping> server{};
  GenServer<int> crashing{{}, 0};
  server.trap_exits(true);
  server.link(crashing);
  server.trap_exits(false);

  crash(crashing);
  server.wait();

  CHECK(server.exit_reason() == crashing.exit_reason());
}

TEST_CASE("a link to a server that has ended is a signal at once", "[otp][link]") {
  GenServer<int> gone{{.name = "gone"}, 0};
  gone.stop();
  GenServer<Trapping> trapping{};
  trapping.trap_exits(true);
  GenServer<int> other{{}, 0};

  trapping.link(gone);
  other.link(gone);
  other.wait();

  REQUIRE(signals_of(trapping).size() == 1);
  CHECK(signals_of(trapping)[0].reason == ExitReason::no_server());
  CHECK(signals_of(trapping)[0].name == "gone");
  CHECK(other.exit_reason() == ExitReason::no_server());
}

TEST_CASE("each link to a server that has ended is a signal", "[otp][link]") {
  GenServer<int> gone{{}, 0};
  gone.stop();
  GenServer<Trapping> trapping{};
  trapping.trap_exits(true);

  trapping.link(gone);
  trapping.link(gone);

  CHECK(signals_of(trapping).size() == 2);
}

TEST_CASE("a server that has ended cannot be linked", "[otp][link]") {
  GenServer<int> gone{{}, 0};
  gone.stop(ExitReason::shutdown());
  GenServer<int> other{{}, 0};

  CHECK_THROWS_AS(gone.link(other), ServerGone);
  CHECK(other.call([] { return 1; }) == 1);
}

TEST_CASE("a server that ends while it is being linked tells its peer", "[otp][link]") {
  GenServer<int> ending{{.name = "ending"}, 0};
  GenServer<Trapping> peer{};
  peer.trap_exits(true);
  ending.stop(ExitReason::shutdown("upgrade"));  // as if after link() has looked

  LinkWatcher::link(ending.shared_core(), peer.shared_core());

  REQUIRE(signals_of(peer).size() == 1);
  CHECK(signals_of(peer)[0].name == "ending");
  CHECK(signals_of(peer)[0].reason == ExitReason::shutdown("upgrade"));
}

TEST_CASE("a link that is over leaves nothing with either server", "[otp][link]") {
  const bool by_end = GENERATE(true, false);
  GenServer<Trapping> server{};
  GenServer<int> peer{{}, 0};
  server.trap_exits(true);
  server.link(peer);
  const auto there = link_to(server, peer);
  const auto back = link_to(peer, server);
  REQUIRE(!there.expired());
  REQUIRE(!back.expired());

  by_end ? peer.stop() : server.unlink(peer);

  CHECK(there.expired());
  CHECK(back.expired());
}

TEST_CASE("an exit signal ends a server before its next message, with terminate",
          "[otp][link]") {
  struct Ending {
    explicit Ending(std::shared_ptr<std::string> its_reason) : reason{std::move(its_reason)} {}
    void terminate(const ExitReason& why) { *reason = why.what(); }
    std::shared_ptr<std::string> reason;
  };
  const auto reason = std::make_shared<std::string>();
  GenServer<Ending> server{{}, reason};
  std::atomic<int> handled{0};
  {
    Hold hold{server};
    for (int i = 0; i < 3; ++i) server.cast([&] { ++handled; });
    server.exit(ExitReason::shutdown("enough"));
  }
  server.wait();

  CHECK(handled == 0);
  CHECK(*reason == "shutdown: enough");
}

TEST_CASE("the signal normal is ignored, killed is a kill", "[otp][link]") {
  GenServer<int> server{{}, 0};

  server.exit(ExitReason::normal());
  CHECK(server.call([] { return 1; }) == 1);
  server.exit(ExitReason::killed());

  CHECK(server.exit_reason() == ExitReason::killed());
}

TEST_CASE("a signal sent by a handler says who sent it", "[otp][link]") {
  GenServer<Trapping> server{};
  GenServer<int> sender{{.name = "sender"}, 0};
  server.trap_exits(true);

  sender.call([&] { server.exit(ExitReason::normal()); });
  server.exit(ExitReason::shutdown());

  const auto signals = signals_of(server);
  REQUIRE(signals.size() == 2);
  CHECK(signals[0].who == sender);
  CHECK_FALSE(signals[1].who);
}

TEST_CASE("a handler that waits in the library leaves by Exit", "[otp][link]") {
  GenServer<int> slow{{.mailbox_capacity = 2}, 0};
  Hold hold{slow};
  slow.cast([] {});
  auto never = slow.async_call([] {});
  const std::vector<std::function<void()>> waits{
      [&] { slow.call([] {}); },
      [&] { slow.call_for(1h, [] {}); },
      [&] { slow.call<int>([](int&, Reply<int>) {}); },
      [&] { slow.call_when([](const int&) { return false; }, [] {}); },
      [&] { never.get(); },
      [&] { slow.cast([] {}); },
      [&] { slow.wait(); },
      [] { sleep_for(1h); }};
  for (const auto& wait : waits) {
    GenServer<int> server{{}, 0};
    Gate entered;
    bool has_left = false;
    server.cast([&] {
      entered.open();
      try {
        wait();
      } catch (const Exit& exit) {
        has_left = exit.reason == ExitReason::shutdown("enough");
        throw;
      }
    });
    entered.wait();
    server.exit(ExitReason::shutdown("enough"));
    server.wait();

    CHECK(has_left);
    CHECK(server.exit_reason() == ExitReason::shutdown("enough"));
  }
}

TEST_CASE("a handler that waits elsewhere sees its stop token", "[otp][link]") {
  GenServer<int> server{{}, 0};
  Gate entered;
  server.cast([&] {
    const StopToken token = self_stop_token();
    entered.open();
    while (!token.stop_requested()) std::this_thread::yield();
  });
  entered.wait();

  server.exit(ExitReason::shutdown());
  server.wait();

  CHECK(server.exit_reason() == ExitReason::shutdown());
  CHECK_THROWS_AS(self_stop_token(), SelfWait);
}

TEST_CASE("a signal waits for a call that is running, which may use the caller's variables",
          "[otp][link]") {
  GenServer<int> other{{}, 0};
  GenServer<int> server{{}, 0};
  Gate entered;
  Gate left;
  std::atomic<bool> was_there{false};
  server.cast([&] {
    std::string local = "here";
    other.call([&] {
      entered.open();
      left.wait();
      was_there = local == "here";
    });
  });
  entered.wait();

  server.exit(ExitReason::shutdown());
  CHECK_FALSE(server.wait_for(5ms));
  left.open();
  server.wait();

  CHECK(was_there);
}

TEST_CASE("a call that its caller has left is never run", "[otp][link]") {
  GenServer<int> other{{}, 0};
  GenServer<int> server{{}, 0};
  std::atomic<bool> has_run{false};
  {
    Hold hold{other};
    Gate entered;
    server.cast([&] {
      entered.open();
      other.call([&] { has_run = true; });
    });
    entered.wait();
    server.exit(ExitReason::shutdown());
    server.wait();
  }
  other.call([] {});

  CHECK_FALSE(has_run);
}

TEST_CASE("linking two servers from both sides at once never hangs", "[otp][link][.stress]") {
  const ReportLog log;
  for (int round = 0; round < 100; ++round) {
    GenServer<int> first{{}, 0};
    GenServer<int> second{{}, 0};
    const auto toggle = [](const GenServer<int>& a, const GenServer<int>& b) {
      try {
        for (int i = 0; i < 20; ++i) {
          a.link(b);
          if (i % 3 == 0) a.unlink(b);
        }
      } catch (const ServerGone&) {  // the other one took it along
      }
    };
    std::thread one{[&] { toggle(first, second); }};
    std::thread two{[&] { toggle(second, first); }};
    if (round % 2 == 0) crash(first);
    one.join();
    two.join();
  }
}
