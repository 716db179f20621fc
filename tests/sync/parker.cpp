// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/parker.hpp>

#include <support/catch.hpp>
#include <support/gate.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using genserver::Deadline;
using genserver::Parker;
using Clock = Deadline::Clock;
using namespace std::chrono_literals;

TEST_CASE("an unpark that comes first ends the next park at once", "[sync][parker]") {
  Parker parker;
  parker.unpark();

  parker.park(Deadline::never());  // would hang if the unpark were lost

  SUCCEED();
}

TEST_CASE("an unpark of another thread ends the park", "[sync][parker]") {
  Parker parker;
  Gate begins;
  int result = 0;

  std::thread sleeper{[&] {
    begins.open();
    parker.park(Deadline::never());
    ++result;
  }};
  begins.wait();
  parker.unpark();
  sleeper.join();

  CHECK(result == 1);
}

TEST_CASE("a park ends at its deadline", "[sync][parker]") {
  Parker parker;
  const Deadline deadline = Deadline::after(5ms);

  parker.park(deadline);

  CHECK(deadline.has_passed());
}

TEST_CASE("a deadline in the past ends the park at once", "[sync][parker]") {
  const Clock::time_point past = GENERATE(Clock::now(), Clock::now() - 1h, Clock::time_point{},
                                          Clock::time_point{-1ns}, Clock::time_point::min());
  Parker parker;

  parker.park(Deadline{past});  // would hang if it did not return

  SUCCEED();
}

TEST_CASE("several unparks are remembered as one", "[sync][parker]") {
  Parker parker;
  parker.unpark();
  parker.unpark();
  parker.park(Deadline::never());
  const Deadline deadline = Deadline::after(5ms);

  parker.park(deadline);

  CHECK(deadline.has_passed());
}

TEST_CASE("a park that ended at its deadline leaves nothing behind", "[sync][parker]") {
  Parker parker;
  parker.park(Deadline{Clock::now()});
  const Deadline deadline = Deadline::after(5ms);

  parker.park(deadline);

  CHECK(deadline.has_passed());
}

TEST_CASE("an unpark after a park that ended at its deadline is remembered", "[sync][parker]") {
  Parker parker;
  parker.park(Deadline{Clock::now()});
  parker.unpark();

  parker.park(Deadline::never());  // would hang if the unpark were lost

  SUCCEED();
}

TEST_CASE("a park uses up the unpark even if its deadline has passed", "[sync][parker]") {
  Parker parker;
  parker.unpark();
  parker.park(Deadline{Clock::now() - 1h});
  const Deadline deadline = Deadline::after(5ms);

  parker.park(deadline);

  CHECK(deadline.has_passed());
}

TEST_CASE("what was written before an unpark is visible after the park", "[sync][parker]") {
  Parker parker;
  std::vector<int> letter;  // unguarded: ThreadSanitizer sees if the order were missing

  std::thread writer{[&] {
    letter.assign(100, 7);
    parker.unpark();
  }};
  parker.park(Deadline::never());
  const std::vector<int> read = letter;
  writer.join();

  CHECK(read == std::vector<int>(100, 7));
}

TEST_CASE("two threads that wake each other in turn never miss a wake-up",
          "[.stress][sync][parker]") {
  constexpr int turns = 50'000;
  Parker parkers[2];
  int turn = 0;  // guarded by whose turn it is: handed on by unpark()
  std::atomic<int> missed{0};
  const auto play = [&](int own) {
    for (int i = 0; i < turns && missed == 0; ++i) {
      const Deadline deadline = Deadline::after(10s);
      parkers[own].park(deadline);
      missed += turn % 2 == own && !deadline.has_passed() ? 0 : 1;
      ++turn;
      parkers[1 - own].unpark();
    }
  };

  parkers[0].unpark();
  std::thread other{[&] { play(1); }};
  play(0);
  other.join();

  CHECK(missed == 0);
  CHECK(turn == 2 * turns);
}

TEST_CASE("a flag that is set before an unpark is never missed", "[.stress][sync][parker]") {
  constexpr int count = 100'000;
  Parker parker;
  std::atomic<int> sent{0};
  const auto send = [&] {
    for (int i = 0; i < count; ++i) {
      ++sent;
      parker.unpark();
    }
  };

  std::thread first{send}, second{send};
  int seen = 0;
  for (Deadline end = Deadline::after(10s); seen < 2 * count && !end.has_passed(); seen = sent) {
    parker.park(end);
  }
  first.join();
  second.join();

  CHECK(seen == 2 * count);
}
