// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/guarded_calls.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>

using namespace genserver;

namespace {

struct Stock {
  int pieces = 0;
  std::vector<std::string> served{};
};
using Warehouse = GenServer<Stock>;

/// Starts a thread that takes pieces as soon as there are enough, and waits until it waits.
std::thread buyer(Warehouse& warehouse, const std::string& name, int pieces,
                  const std::function<void()>& also = [] {}) {
  std::atomic<int> tries{0};
  std::thread thread{[&warehouse, &tries, name, pieces, also] {
    warehouse.call_when(
        [&tries, pieces, is_first = true](const Stock& stock) mutable {
          if (is_first) ++tries;  // lives as long as the first try only
          is_first = false;
          return stock.pieces >= pieces;
        },
        [&](Stock& stock) {
          stock.pieces -= pieces;
          stock.served.push_back(name);
          also();
        });
  }};
  REQUIRE(eventually([&] { return tries == 1; }));
  return thread;
}

}  // namespace

TEST_CASE("call_when runs at once if the guard holds", "[core][guarded_calls]") {
  Warehouse warehouse;
  warehouse.cast([](Stock& stock) { stock.pieces = 3; });

  const int left = warehouse.call_when([](const Stock& stock) { return stock.pieces > 2; },
                                       [](Stock& stock) { return --stock.pieces; });

  CHECK(left == 2);
}

TEST_CASE("who waits longest is served first among those whose guard holds",
          "[core][guarded_calls]") {
  Warehouse warehouse;
  std::thread large = buyer(warehouse, "large", 10);
  std::thread first = buyer(warehouse, "first", 1);
  std::thread second = buyer(warehouse, "second", 1);

  warehouse.call([](Stock& stock) { stock.pieces = 2; });
  first.join();
  second.join();
  warehouse.call([](Stock& stock) { stock.pieces = 10; });
  large.join();

  const auto served = warehouse.call([](Stock& stock) { return stock.served; });
  CHECK(served == std::vector<std::string>{"first", "second", "large"});
}

TEST_CASE("a call that is served may serve one that waited longer", "[core][guarded_calls]") {
  Warehouse warehouse;
  std::thread waiting = buyer(warehouse, "waiting", 5);

  warehouse.call_when([](const Stock&) { return true; },
                      [](Stock& stock) { stock.pieces = 5; });
  waiting.join();

  CHECK(warehouse.call([](Stock& stock) { return stock.pieces; }) == 0);
}

TEST_CASE("an exception in a guard reaches its caller only", "[core][guarded_calls]") {
  Warehouse warehouse;

  CHECK_THROWS_AS(warehouse.call_when([](const Stock&) -> bool { throw std::domain_error{"no"}; },
                                      [](Stock&) {}),
                  std::domain_error);

  CHECK(warehouse.is_alive());
}

TEST_CASE("who waits for a guard is told when the server ends", "[core][guarded_calls]") {
  Warehouse warehouse;
  std::string reason;
  std::thread waiting{[&] {
    try {
      warehouse.call_when([](const Stock& stock) { return stock.pieces > 0; }, [](Stock&) {});
    } catch (const ServerGone& gone) {
      reason = gone.reason().what();
    }
  }};

  warehouse.stop(ExitReason::shutdown("sold"));
  waiting.join();

  CHECK(reason == "shutdown: sold");
}

TEST_CASE("who waits for a guard is told also if the thread is ended in another guard",
          "[core][guarded_calls]") {
  Warehouse warehouse;
  std::atomic<int> told{0};
  const auto wait_for = [&](int pieces, bool ends_thread) {
    try {
      warehouse.call_when(
          [=](const Stock& stock) {
            if (ends_thread && stock.pieces > 0) ::pthread_exit(nullptr);
            return stock.pieces >= pieces;
          },
          [](Stock&) {});
    } catch (const ServerGone&) {
      ++told;
    }
  };
  std::thread first{[&] { wait_for(10, false); }};
  std::thread second{[&] { wait_for(10, true); }};

  warehouse.cast([](Stock& stock) { stock.pieces = 1; });
  first.join();
  second.join();

  CHECK(told == 2);
}

TEST_CASE("a server cannot wait for its own guard", "[core][guarded_calls]") {
  Warehouse warehouse;

  CHECK_THROWS_AS(warehouse.call([&](Stock&) {
    warehouse.call_when([](const Stock& stock) { return stock.pieces > 0; }, [](Stock&) {});
  }),
                  SelfWait);
}

TEST_CASE("what a guarded call continues with runs before the next guarded call",
          "[core][guarded_calls]") {
  Warehouse warehouse;
  std::thread first = buyer(warehouse, "first", 1, [] {
    self<Stock>().continue_with([](Stock& stock) { stock.served.push_back("continuation"); });
  });
  std::thread second = buyer(warehouse, "second", 1);

  warehouse.call([](Stock& stock) { stock.pieces = 2; });
  first.join();
  second.join();

  const auto served = warehouse.call([](Stock& stock) { return stock.served; });
  CHECK(served == std::vector<std::string>{"first", "continuation", "second"});
}
