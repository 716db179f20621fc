// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/inbox.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Numbers = std::vector<int>;

/// A server with a small mailbox whose thread is held up by the test.
struct HeldServer {
  explicit HeldServer(OnFull on_full, std::size_t capacity = 2)
      : server{{.name = "held", .mailbox_capacity = capacity, .on_full = on_full}} {
    server.cast([this](Numbers&) {
      is_held.open();
      may_go_on.wait();
    });
    is_held.wait();
  }
  ~HeldServer() { may_go_on.open(); }

  bool add(int number) {
    return server.cast([number](Numbers& numbers) { numbers.push_back(number); });
  }
  Numbers numbers() {
    may_go_on.open();
    return server.call([](Numbers& all) { return all; });
  }

  Gate is_held{};
  Gate may_go_on{};
  GenServer<Numbers> server;
};

}  // namespace

TEST_CASE("the message that runs takes no place in the mailbox", "[core][inbox]") {
  const ReportLog log;
  HeldServer held{OnFull::fail, 1};

  CHECK(held.add(1));
  CHECK(!held.add(2));

  CHECK(held.numbers() == Numbers{1});
}

TEST_CASE("a mailbox that fails or drops the newest keeps what came first", "[core][inbox]") {
  const ReportLog log;
  HeldServer held{GENERATE(OnFull::fail, OnFull::drop_newest)};

  CHECK(held.add(1));
  CHECK(held.add(2));
  CHECK(!held.add(3));

  CHECK(held.numbers() == Numbers{1, 2});
}

TEST_CASE("a mailbox that drops the oldest keeps what came last", "[core][inbox]") {
  const ReportLog log;
  HeldServer held{OnFull::drop_oldest};

  for (int number = 1; number <= 5; ++number) CHECK(held.add(number));

  CHECK(held.numbers() == Numbers{4, 5});
}

TEST_CASE("the caller of a dropped request is told that the mailbox was full", "[core][inbox]") {
  const ReportLog log;
  HeldServer held{OnFull::drop_oldest, 1};
  auto dropped = held.server.async_call([](Numbers&) { return 1; });
  auto kept = held.server.async_call([](Numbers&) { return 2; });

  CHECK_THROWS_AS(dropped.get(), MailboxFull);

  held.may_go_on.open();
  CHECK(kept.get() == 2);
}

TEST_CASE("calls are never dropped, and keep their place among casts", "[core][inbox]") {
  const ReportLog log;
  HeldServer held{OnFull::drop_oldest, 1};
  std::thread caller{[&] { held.server.call([](Numbers& all) { all.push_back(100); }); }};

  for (int number = 1; number <= 50; ++number) CHECK(held.add(number));
  held.may_go_on.open();
  caller.join();

  const Numbers numbers = held.numbers();
  REQUIRE(numbers.size() == 2);
  CHECK((numbers == Numbers{100, 50} || numbers == Numbers{50, 100}));
}

TEST_CASE("a sender that waits goes on as soon as one place is free", "[core][inbox]") {
  HeldServer held{OnFull::block, 3};
  Gate first_may_end;
  held.server.cast([&](Numbers&) { first_may_end.wait(); });
  held.add(1);
  held.add(2);
  std::thread sender{[&] { held.add(3); }};

  // One of three is popped, and runs until the sender is in: less than half is ever free.
  held.may_go_on.open();
  sender.join();
  first_may_end.open();

  CHECK(held.numbers() == Numbers{1, 2, 3});
}

TEST_CASE("try_cast and cast_for do not wait for room longer than they say", "[core][inbox]") {
  HeldServer held{OnFull::block, 1};
  held.add(1);

  CHECK(!held.server.try_cast([](Numbers&) {}));
  CHECK(!held.server.cast_for(1ms, [](Numbers&) {}));

  CHECK(held.numbers() == Numbers{1});
}

TEST_CASE("the end of the server releases who waits for room", "[core][inbox]") {
  HeldServer held{OnFull::block, 1};
  held.server.request_stop();
  held.add(1);
  bool was_accepted = true;
  std::thread sender{[&] { was_accepted = held.add(2); }};

  held.may_go_on.open();
  sender.join();

  CHECK(!was_accepted);
}

TEST_CASE("a server that hangs in terminate has released who waits for room", "[core][inbox]") {
  struct Hanging {
    void terminate(const ExitReason&) const { gate.wait(); }
    Gate& gate;
  };
  Gate gate;
  GenServer<Hanging> server{{.mailbox_capacity = 1}, gate};
  GenServer<int> sender{{}, 0};
  bool was_accepted = true;
  {
    Hold hold{server};
    server.request_stop();
    server.cast([] {});
    sender.cast([&] { was_accepted = server.cast([] {}); });
    CHECK(eventually([&] {
      const Snapshot all = snapshot();
      const auto its = all.find(sender.pid());
      return its && all.servers[*its].waits_for;
    }));
  }

  sender.call([] {});  // though the other's end is not over
  gate.open();

  CHECK(!was_accepted);
}

TEST_CASE("a server posts to itself beyond the bound, in order", "[core][inbox]") {
  GenServer<Numbers> server{{.name = "self", .mailbox_capacity = 1}};

  server.call([&](Numbers&) {
    for (int i = 0; i < 100; ++i) {
      CHECK(server.cast([i](Numbers& numbers) { numbers.push_back(i); }));
    }
  });

  const Numbers numbers = server.call([](Numbers& all) { return all; });
  REQUIRE(numbers.size() == 100);
  CHECK(std::is_sorted(numbers.begin(), numbers.end()));
}

TEST_CASE("no refused message is left out of the reports, however the server ends",
          "[core][inbox]") {
  const bool is_killed = GENERATE(false, true);
  const ReportLog log;
  {
    GenServer<int> server{{.mailbox_capacity = 1, .on_full = OnFull::fail}, 0};
    Hold hold{server};
    for (int sent = 0; sent < 4; ++sent) server.cast([] {});
    is_killed ? server.kill() : server.request_stop();
  }

  std::uint64_t refused = 0;
  for (const Report& each : log.of(Report::Kind::overflow)) refused += each.count;
  CHECK(refused == 3);
}

TEST_CASE("overflow is reported with a count, not for every message", "[core][inbox]") {
  const ReportLog log;
  HeldServer held{OnFull::fail, 1};
  held.add(0);

  for (int number = 1; number <= 1000; ++number) held.add(number);

  const auto reports = log.of(Report::Kind::overflow);
  REQUIRE(!reports.empty());
  CHECK(reports.size() < 1000);
  CHECK(reports[0].server == "held");
  CHECK(reports[0].count >= 1);
  CHECK(reports[0].mailbox_capacity == 1);
  CHECK(reports[0].site.file_name() == "inbox.cpp");
}
