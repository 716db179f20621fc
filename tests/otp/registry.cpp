// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/registry.hpp>

#include <genserver/genserver.hpp>

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
#include <tuple>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

TEST_CASE("a name leads to its server until it is taken away", "[otp][registry]") {
  Registry<int> registry;
  GenServer<int> server{{}, 7};

  registry.register_name("store", server);
  CHECK(registry.whereis("store") == server.ref());
  CHECK(registry.whereis("store")->call([](int& n) { return n; }) == 7);
  CHECK_FALSE(registry.whereis("other"));
  CHECK(registry.unregister_name("store"));

  CHECK_FALSE(registry.whereis("store"));
  CHECK_FALSE(registry.unregister_name("store"));
}

TEST_CASE("a name that is held is refused, with its holder", "[otp][registry]") {
  Registry<int> registry;
  GenServer<int> first{{.name = "first"}, 0};
  GenServer<int> second{{.name = "second"}, 0};
  registry.register_name("store", first);

  try {
    registry.register_name("store", second);
    FAIL("it was given twice");
  } catch (const NameTaken& taken) {
    CHECK(taken.holder() == first.pid());
    CHECK_THAT(taken.what(), Catch::Matchers::ContainsSubstring("\"store\""));
    CHECK_THAT(taken.what(), Catch::Matchers::ContainsSubstring("first:"));
  }
  CHECK(registry.size() == 1);
  CHECK(registry.whereis("store") == first.ref());
}

TEST_CASE("a server may have many names, and all leave when it ends", "[otp][registry]") {
  Registry<int> registry;
  {
    GenServer<int> server{{}, 0};
    for (int i = 0; i < 50; ++i) registry.register_name("name" + std::to_string(i), server);
    CHECK(registry.size() == 50);
    CHECK(registry.names().size() == 50);
  }
  CHECK(registry.size() == 0);
}

TEST_CASE("the name is free before anyone learns of the end", "[otp][registry]") {
  const ReportLog log;
  Registry<int> registry;
  GenServer<int> server{{}, 0};
  registry.register_name("store", server);
  GenServer<int> observer{{}, 0};
  std::atomic<int> found{-1};
  observer.monitor(server, [&](const Down&) { found = registry.whereis("store") ? 1 : 0; });
  Hold hold{server};
  auto queued = server.async_call([] {});
  server.cast([] { throw std::runtime_error{"crashed"}; });
  auto refused = server.async_call([] {});
  hold.let_go();

  CHECK_THROWS_AS(refused.get(), ServerGone);
  CHECK_FALSE(registry.whereis("store"));
  CHECK(eventually([&] { return found != -1; }));
  CHECK(found == 0);
}

TEST_CASE("a name can be taken over while its holder is still ending", "[otp][registry]") {
  struct Slow {
    explicit Slow(std::shared_ptr<Gate> its_gate) : gate{std::move(its_gate)} {}
    void terminate(const ExitReason&) {
      if (gate != nullptr) gate->wait();
    }
    std::shared_ptr<Gate> gate;
  };
  Registry<Slow> registry;
  const auto gate = std::make_shared<Gate>();
  GenServer<Slow> first{{}, gate};
  GenServer<Slow> second{{}, nullptr};
  registry.register_name("store", first);
  first.request_stop();
  CHECK(eventually([&] { return !registry.whereis("store"); }));

  registry.register_name("store", second);
  gate->open();
  first.wait();

  CHECK(registry.whereis("store") == second.ref());
}

TEST_CASE("a server whose constructor fails leaves no name behind", "[otp][registry]") {
  struct Failing {
    explicit Failing(Registry<Failing>& registry) {
      registry.register_name("failing", self<Failing>());
      throw std::runtime_error{"failed"};
    }
  };
  Registry<Failing> registry;

  CHECK_THROWS_AS(GenServer<Failing>({}, registry), std::runtime_error);

  CHECK(registry.size() == 0);
}

TEST_CASE("a server that has ended gets no name", "[otp][registry]") {
  Registry<int> registry;
  GenServer<int> server{{}, 0};
  server.stop();

  CHECK_THROWS_AS(registry.register_name("store", server), ServerGone);
  CHECK_THROWS_AS(registry.register_name("store", ServerRef<int>{}), InvalidArgument);

  CHECK(registry.size() == 0);
}

TEST_CASE("a killed server's names are free at once", "[otp][registry]") {
  const ReportLog log;
  Registry<int> registry;
  GenServer<int> server{{}, 0};
  registry.register_name("store", server);
  Hold hold{server};

  server.kill();

  CHECK_FALSE(registry.whereis("store"));
}

TEST_CASE("a listener is told of the names of a killed server, and of one that came too late",
          "[otp][registry]") {
  using Change = Registry<int>::Change;
  const ReportLog log;
  Registry<int> registry;
  std::vector<Change::Kind> changes;
  GenServer<int> server{{}, 0};
  registry.on_change([&](const Change& change) { changes.push_back(change.kind); });
  registry.register_name("store", server);
  {
    Hold hold{server};
    server.kill();  // in this thread
  }
  CHECK_THROWS_AS(registry.register_name("store", server), ServerGone);

  CHECK(changes == std::vector<Change::Kind>{Change::Kind::registered, Change::Kind::unregistered,
                                             Change::Kind::registered,
                                             Change::Kind::unregistered});
}

TEST_CASE("a name that was taken away is kept by nobody", "[otp][registry]") {
  Registry<int, std::shared_ptr<int>> registry;
  GenServer<int> server{{}, 0};
  const auto key = std::make_shared<int>(0);
  registry.register_name(key, server);

  CHECK(registry.unregister_name(key));

  CHECK(key.use_count() == 1);
}

TEST_CASE("any key that can be hashed will do", "[otp][registry]") {
  Registry<int, int> registry;
  GenServer<int> server{{}, 0};
  registry.register_name(42, server);

  CHECK(registry.whereis(42) == server.ref());
  CHECK(registry.names() == std::vector<int>{42});
  CHECK_THROWS_WITH(registry.register_name(42, server),
                    Catch::Matchers::ContainsSubstring("\"42\""));
}

TEST_CASE("a registry may go before its servers", "[otp][registry]") {
  GenServer<int> server{{}, 0};
  {
    Registry<int> registry;
    registry.register_name("store", server);
  }
  server.stop();

  CHECK_FALSE(server.is_alive());
}

TEST_CASE("a listener is told of every change, in order", "[otp][registry]") {
  using Change = Registry<int>::Change;
  Registry<int> registry;
  std::vector<std::pair<Change::Kind, std::string>> told;
  registry.on_change([&](const Change& change) { told.emplace_back(change.kind, change.key); });
  GenServer<int> server{{}, 0};

  registry.register_name("first", server);
  registry.unregister_name("first");
  registry.register_name("second", server);
  server.stop();

  CHECK(told == std::vector<std::pair<Change::Kind, std::string>>{
                    {Change::Kind::registered, "first"},
                    {Change::Kind::unregistered, "first"},
                    {Change::Kind::registered, "second"},
                    {Change::Kind::unregistered, "second"}});
}

TEST_CASE("with_lock lets one at a time start what is missing", "[otp][registry]") {
  Registry<int> registry;
  std::vector<std::unique_ptr<GenServer<int>>> started;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      registry.with_lock("store", [&] {
        if (registry.whereis("store")) return;
        started.push_back(std::make_unique<GenServer<int>>(Options{}, 0));
        registry.register_name("store", *started.back());
      });
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(started.size() == 1);
}

TEST_CASE("racing servers share names: each name has one holder, and none is left at the end",
          "[otp][registry][.stress]") {
  const ReportLog log;
  Registry<int, int> registry;
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 100; ++round) {
        GenServer<int> server{{}, t};
        for (int key = 0; key < 8; ++key) {
          try {
            registry.register_name(key, server);
          } catch (const NameTaken&) {
            ++taken;
          }
          if (const auto holder = registry.whereis(key)) holder->cast([](int& n) { ++n; });
          if (key == t) registry.unregister_name(key);
        }
        if (round % 3 == 0) server.kill();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(registry.size() == 0);
}
