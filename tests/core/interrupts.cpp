// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/interrupts.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <stdexcept>
#include <thread>

using namespace genserver;
using namespace std::chrono_literals;

TEST_CASE("a wait without a signal ends with the event or the deadline", "[core][interrupts]") {
  Interrupts interrupts;
  OneShot pending;
  OneShot done;
  done.set();

  CHECK(interrupts.sleep(done, Deadline::never()) == Waited::done);
  CHECK(interrupts.sleep(pending, Deadline::after(1ms)) == Waited::late);
  CHECK_NOTHROW(interrupts.check());
}

TEST_CASE("a signal ends the wait that runs, and all later ones", "[core][interrupts]") {
  Interrupts interrupts;
  OneShot pending;
  std::thread other{[&] { interrupts.raise(ExitReason::shutdown("upgrade")); }};

  CHECK(interrupts.sleep(pending, Deadline::never()) == Waited::interrupted);
  other.join();

  CHECK(interrupts.sleep(pending, Deadline::never()) == Waited::interrupted);
  CHECK(interrupts.reason() == ExitReason::shutdown("upgrade"));
  CHECK_THROWS_AS(interrupts.check(), Exit);
}

TEST_CASE("the first signal counts, but a kill comes through", "[core][interrupts]") {
  Interrupts interrupts;

  CHECK(interrupts.raise(ExitReason::shutdown("first")));
  CHECK_FALSE(interrupts.raise(ExitReason::shutdown("second")));
  CHECK(interrupts.reason() == ExitReason::shutdown("first"));
  CHECK_FALSE(interrupts.raise(ExitReason::killed()));
  CHECK(interrupts.reason() == ExitReason::killed());
}

TEST_CASE("a server that is ending is not interrupted", "[core][interrupts]") {
  Interrupts interrupts;
  OneShot pending;
  interrupts.raise(ExitReason::shutdown());

  interrupts.mask();

  CHECK(interrupts.sleep(pending, Deadline::after(1ms)) == Waited::late);
  CHECK_NOTHROW(interrupts.check());
}

TEST_CASE("nothing is thrown on top of an exception that is on its way", "[core][interrupts]") {
  struct Waiting {
    Interrupts& interrupts;
    bool& is_due;
    ~Waiting() { is_due = interrupts.is_due(); }
  };
  Interrupts interrupts;
  interrupts.raise(ExitReason::shutdown());
  bool is_due = true;

  CHECK_THROWS_AS(([&] {
                    const Waiting waiting{interrupts, is_due};
                    throw std::runtime_error{"on its way"};
                  }()),
                  std::runtime_error);

  CHECK_FALSE(is_due);
  CHECK(interrupts.is_due());
}

TEST_CASE("a stop token tells of the signal, whenever it was asked for", "[core][interrupts]") {
  Interrupts interrupts;
  const StopToken before = interrupts.stop_token();
  CHECK_FALSE(before.stop_requested());

  interrupts.raise(ExitReason::shutdown());

  CHECK(before.stop_requested());
  CHECK(interrupts.stop_token().stop_requested());
}

TEST_CASE("no signal is lost however it races with a wait", "[core][interrupts][.stress]") {
  for (int round = 0; round < 2000; ++round) {
    Interrupts interrupts;
    OneShot pending;
    std::thread other{[&] { interrupts.raise(ExitReason::shutdown()); }};

    CHECK(interrupts.sleep(pending, Deadline::never()) == Waited::interrupted);
    other.join();
  }
}

TEST_CASE("a stop token tells that the server is asked to stop only if it is to",
          "[core][interrupts]") {
  Interrupts interrupts;
  const StopToken token = interrupts.stop_token();

  interrupts.ask_to_stop();
  CHECK_FALSE(token.stop_requested());  // what was sent before the stop is still handled

  interrupts.heed_stops();
  CHECK(token.stop_requested());  // also if it was asked before
  CHECK_NOTHROW(interrupts.check());
  CHECK_FALSE(interrupts.is_raised());
}
