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
  for (int round = 0; round < 2000; ++round) {
    Custody custody;
    int owned = 0;
    std::atomic<bool> is_taken{false};
    std::thread taker{[&] {
      if (!custody.take()) return;
      ++owned;
      is_taken = true;
    }};
    ++owned;
    custody.begin();
    const bool is_ours = custody.end();
    if (is_ours) ++owned;
    taker.join();

    CHECK(owned == 2);
    CHECK(is_ours == !is_taken);
  }
}
