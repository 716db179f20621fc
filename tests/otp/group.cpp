// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/group.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/report_log.hpp>

#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;

namespace {

int value_of(const ServerRef<int>& server) {
  return server.call([](int& n) { return n; });
}

}  // namespace

TEST_CASE("a group has its members in the order in which they joined", "[otp][group]") {
  Group<int> group;
  GenServer<int> first{{}, 0};
  GenServer<int> second{{}, 0};

  group.join("readers", first);
  group.join("readers", second);
  group.join("writers", second);

  CHECK(group.members("readers") == std::vector{first.ref(), second.ref()});
  CHECK(group.members("writers") == std::vector{second.ref()});
  CHECK(group.members("nobody").empty());
  CHECK(group.keys().size() == 2);
  CHECK(group.size() == 3);
}

TEST_CASE("a server may be a member twice, and leaves altogether", "[otp][group]") {
  Group<int> group;
  GenServer<int> twice{{}, 0};
  GenServer<int> once{{}, 0};
  group.join("readers", twice);
  group.join("readers", once);
  group.join("readers", twice);
  CHECK(group.size() == 3);

  CHECK(group.leave("readers", twice) == 2);
  CHECK(group.leave("readers", twice) == 0);

  CHECK(group.members("readers") == std::vector{once.ref()});
}

TEST_CASE("a member that ends leaves by itself, before anyone learns of it", "[otp][group]") {
  Group<int> group;
  GenServer<int> staying{{}, 0};
  {
    GenServer<int> ending{{}, 0};
    for (int i = 0; i < 3; ++i) group.join("readers", ending);
    group.join("readers", staying);
    ending.stop();
    CHECK(group.members("readers") == std::vector{staying.ref()});
  }
  CHECK(group.size() == 1);
}

TEST_CASE("what is broadcast comes to every member", "[otp][group]") {
  struct Add {
    int amount;
  };
  struct Sum {
    void handle_cast(const Add& add) { sum += add.amount; }
    int sum = 0;
  };
  Group<Sum, int> group;
  GenServer<Sum> first{};
  GenServer<Sum> second{};
  group.join(1, first);
  group.join(1, second);

  CHECK(group.broadcast(1, Add{5}) == 2);
  CHECK(group.broadcast(1, [](Sum& state) { state.sum *= 2; }) == 2);
  CHECK(group.broadcast(2, Add{5}) == 0);

  CHECK(first.call([](Sum& state) { return state.sum; }) == 10);
  CHECK(second.call([](Sum& state) { return state.sum; }) == 10);
}

TEST_CASE("dispatch gives the members of this moment, and is left out without any",
          "[otp][group]") {
  Group<int> group;
  GenServer<int> server{{}, 3};
  group.join("readers", server);
  int sum = 0;
  int times = 0;

  group.dispatch("readers", [&](const std::vector<ServerRef<int>>& members) {
    for (const auto& member : members) sum += value_of(member);
  });
  group.dispatch("nobody", [&](const std::vector<ServerRef<int>>&) { ++times; });

  CHECK(sum == 3);
  CHECK(times == 0);
}

TEST_CASE("a server that has ended cannot join", "[otp][group]") {
  Group<int> group;
  GenServer<int> server{{}, 0};
  server.stop();

  CHECK_THROWS_AS(group.join("readers", server), ServerGone);
  CHECK_THROWS_AS(group.join("readers", ServerRef<int>{}), InvalidArgument);

  CHECK(group.size() == 0);
}

TEST_CASE("servers that join, leave and end at once leave nothing behind",
          "[otp][group][.stress]") {
  const ReportLog log;
  Group<int, int> group;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        GenServer<int> server{{}, 0};
        for (int key = 0; key < 4; ++key) group.join(key, server);
        group.leave(round % 4, server);
        group.broadcast(1, [](int& n) { ++n; });
        if (round % 3 == 0) server.kill();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(group.size() == 0);
  CHECK(group.keys().empty());
}
