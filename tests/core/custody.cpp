// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/custody.hpp>

#include <support/catch.hpp>

#include <atomic>
#include <thread>

using genserver::Custody;

TEST_CASE("a server is taken only while the user's code runs", "[core][custody]") {
  Custody custody;
  CHECK_FALSE(custody.take());

  custody.begin();
  CHECK(custody.end());
  CHECK_FALSE(custody.take());
  custody.begin();
  CHECK(custody.take());

  CHECK_FALSE(custody.end());
  CHECK(custody.is_lost());
}

TEST_CASE("the end may be said again, and does not change", "[core][custody]") {
  Custody custody;
  CHECK(custody.end());
  custody.begin();
  custody.take();

  CHECK_FALSE(custody.end());
  CHECK_FALSE(custody.end());
}

TEST_CASE("only one takes it", "[core][custody]") {
  Custody custody;
  custody.begin();

  CHECK(custody.take());
  CHECK_FALSE(custody.take());
}

TEST_CASE("who takes it sees what the runner has written, and only one of the two goes on",
          "[core][custody][.stress]") {
  using Ends = Custody::Ends;
  const Ends ends = GENERATE(Ends::by_store, Ends::by_exchange);
  if (ends == Ends::by_store && !genserver::ProcessBarrier::is_there()) return;
  for (int round = 0; round < 300; ++round) {
    Custody custody{ends};
    long own = 0, turns = 0;
    bool is_taken = false;
    std::thread taker{[&] {
      while (!custody.take()) std::this_thread::yield();
      is_taken = own % 2 == 1;  // in the midst of a turn
      ++own;
    }};
    do {
      ++own;
      custody.begin();
      ++turns;
      // Some turns take longer than it takes to look whether he comes back.
      const int steps = turns % 16 == 0 ? 20'000 : 0;
      for (std::atomic<int> step{0}; step < steps; step.fetch_add(1, std::memory_order_relaxed)) {
      }
      if (!custody.end()) break;
      ++own;
    } while (true);
    taker.join();

    CHECK(is_taken);
    CHECK(own == 2 * turns);
  }
}
