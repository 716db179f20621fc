// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/snapshot.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;
using Activity = ServerSnapshot::Activity;

namespace {

std::optional<ServerSnapshot> seen(Pid pid, Stacks stacks = Stacks::none) {
  const Snapshot all = snapshot(stacks);
  const auto index = all.find(pid);
  return index ? std::optional{all.servers[*index]} : std::nullopt;
}

bool eventually_is(Pid pid, Activity activity) {
  return eventually([&] { return seen(pid)->activity == activity; });
}

/// What servers made by hand wait for each other.
Snapshot waiting_servers(const std::vector<std::pair<int, int>>& edges) {
  Snapshot all;
  for (const auto& [from, to] : edges) {
    ServerSnapshot& server = all.servers.emplace_back();
    server.pid = Pid{static_cast<std::uint64_t>(from)};
    if (to == 0) continue;
    server.waits_for.emplace();
    server.waits_for->target_pid = Pid{static_cast<std::uint64_t>(to)};
  }
  return all;
}

}  // namespace

TEST_CASE("a snapshot shows the servers that live, in the order of their pids",
          "[core][snapshot]") {
  const GenServer<int> first{{.name = "first"}, 0};
  Pid gone;
  {
    const GenServer<int> other{{.name = "gone"}, 0};
    gone = other.pid();
  }
  const GenServer<int> second{{.name = "second", .mailbox_capacity = 7}, 0};

  const Snapshot all = snapshot();

  CHECK(!all.find(gone));
  REQUIRE(all.find(first.pid()));
  REQUIRE(all.find(second.pid()));
  CHECK(*all.find(first.pid()) < *all.find(second.pid()));
  CHECK(all.servers[*all.find(second.pid())].name == "second");
  CHECK(all.servers[*all.find(second.pid())].mailbox_capacity == 7);
}

TEST_CASE("a server without messages is idle", "[core][snapshot]") {
  const GenServer<int> server{{}, 0};

  CHECK(eventually_is(server.pid(), Activity::idle));
  CHECK(!seen(server.pid())->message);
  CHECK(!seen(server.pid())->waits_for);
}

TEST_CASE("a running handler is shown with the place it was sent from and its age",
          "[core][snapshot]") {
  const GenServer<int> server{{}, 0};
  Hold hold{server};

  const auto shown = seen(server.pid()).value();

  CHECK(shown.activity == Activity::running);
  REQUIRE(shown.message);
  CHECK(shown.message->site.file_name() == "hold.hpp");
  CHECK(shown.message->age >= 0ns);
  CHECK(shown.message->age < 1h);
  CHECK(shown.message->sender.empty());
}

TEST_CASE("a message sent by a server's handler is shown with its sender", "[core][snapshot]") {
  const GenServer<int> collector{{.name = "collector"}, 0};
  const GenServer<int> store{{}, 0};
  Gate entered;
  Gate left;

  collector.call([&] {
    store.cast([&] {
      entered.open();
      left.wait();
    });
  });
  entered.wait();
  const auto shown = seen(store.pid());
  left.open();

  REQUIRE(shown->message);
  CHECK(shown->message->sender == "collector");
  CHECK(shown->message->sender_pid == collector.pid());
  store.call([] {});
}

TEST_CASE("a server that waits for another shows for whom, where and how long",
          "[core][snapshot]") {
  const GenServer<int> slow{{.name = "slow"}, 0};
  const GenServer<int> caller{{.name = "caller"}, 0};
  Hold hold{slow};
  caller.cast([&] { slow.call([] {}); });
  REQUIRE(eventually_is(caller.pid(), Activity::waiting));

  CHECK(eventually([&] { return seen(caller.pid())->waits_for->age > 0ns; }));
  const auto shown = seen(caller.pid());
  CHECK(shown->waits_for->target == "slow");
  CHECK(shown->waits_for->target_pid == slow.pid());
  CHECK(shown->waits_for->site.file_name() == "snapshot.cpp");

  hold.let_go();
  caller.call([] {});
}

TEST_CASE("a mailbox shows how full it is and was", "[core][snapshot]") {
  const GenServer<int> server{{.mailbox_capacity = 8}, 0};
  {
    Hold hold{server};
    for (int i = 0; i < 8; ++i) server.cast([] {});
    CHECK(seen(server.pid())->mailbox_size == 8);
    CHECK(seen(server.pid())->mailbox_high_water == 8);
  }
  server.call([] {});

  CHECK(seen(server.pid())->mailbox_size == 0);
  CHECK(seen(server.pid())->mailbox_high_water == 8);
}

TEST_CASE("a server whose State is being made is starting, and one that ends is stopping",
          "[core][snapshot]") {
  static Gate* made = nullptr;
  static Gate* ended = nullptr;
  static std::atomic<Pid> pid;
  struct Slow {
    Slow() {
      pid = self<Slow>().pid();
      made->wait();
    }
    void terminate(const ExitReason&) { ended->wait(); }
  };
  Gate made_gate;
  Gate ended_gate;
  made = &made_gate;
  ended = &ended_gate;
  pid = Pid{};

  std::thread owner{[] { const GenServer<Slow> server{{.name = "slow"}}; }};
  CHECK(eventually([] { return pid.load() != Pid{}; }));
  CHECK(seen(pid)->activity == Activity::starting);
  made_gate.open();
  CHECK(eventually_is(pid, Activity::stopping));
  ended_gate.open();
  owner.join();

  CHECK(!seen(pid));
}

TEST_CASE("stacks are taken if they are asked for", "[core][snapshot]") {
  const GenServer<int> server{{}, 0};
  Hold hold{server};

  CHECK(seen(server.pid(), Stacks::none)->stack.frames.empty());
  const auto shown = seen(server.pid(), Stacks::all);
  CHECK(!(shown->stack.frames.empty() && shown->stack.note.empty()));
}

TEST_CASE("a handler may take a snapshot of itself", "[core][snapshot]") {
  const GenServer<int> server{{}, 0};

  const auto shown = server.call([&] { return seen(server.pid(), Stacks::all).value(); });

  CHECK(shown.activity == Activity::running);
}

TEST_CASE("who waits in a circle is found, and who waits for a member is not in it",
          "[core][snapshot]") {
  CHECK(waiting_servers({{1, 2}, {2, 1}, {3, 1}, {4, 0}}).in_cycle() ==
        std::vector<std::size_t>{0, 1});
  CHECK(waiting_servers({{1, 2}, {2, 3}, {3, 0}}).in_cycle().empty());
  CHECK(waiting_servers({{5, 5}}).in_cycle() == std::vector<std::size_t>{0});
  CHECK(waiting_servers({{1, 9}}).in_cycle().empty());
}

TEST_CASE("snapshots may be taken while servers come, work and go", "[core][snapshot][.stress]") {
  std::atomic<bool> is_over{false};
  std::size_t length = 0;
  std::thread looking{[&] {
    while (!is_over) length += to_text(snapshot(Stacks::all)).size();
  }};
  std::vector<std::thread> working;
  for (int i = 0; i < 4; ++i) {
    working.emplace_back([] {
      for (int round = 0; round < 100; ++round) {
        const GenServer<int> inner{{.name = "inner"}, 0};
        const GenServer<int> outer{{.name = "outer"}, 0};
        for (int n = 0; n < 20; ++n) outer.call([&] { inner.call([](int& sum) { ++sum; }); });
      }
    });
  }
  for (std::thread& thread : working) thread.join();
  is_over = true;
  looking.join();

  CHECK(length > 0);
}
