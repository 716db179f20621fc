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

TEST_CASE("what has happened counts for more than a signal", "[core][interrupts]") {
  Interrupts interrupts;
  OneShot done;
  interrupts.raise(ExitReason::shutdown());
  done.set();

  CHECK(interrupts.sleep(done, Deadline::never()) == Waited::done);
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

TEST_CASE("an exception that is on its way is not disturbed by a signal", "[core][interrupts]") {
  struct Waiting {
    ~Waiting() {
      is_due = interrupts.is_due();
      waited = interrupts.sleep(pending, Deadline::after(1ms));
    }
    Interrupts& interrupts;
    bool& is_due;
    Waited& waited;
    OneShot pending{};
  };
  Interrupts interrupts;
  interrupts.raise(ExitReason::shutdown());
  bool is_due = true;
  Waited waited = Waited::interrupted;

  CHECK_THROWS_AS(([&] {
                    const Waiting waiting{interrupts, is_due, waited};
                    throw std::runtime_error{"on its way"};
                  }()),
                  std::runtime_error);

  CHECK_FALSE(is_due);
  CHECK(waited == Waited::late);
  CHECK(interrupts.is_due());
}

TEST_CASE("a wait that was interrupted leaves the event as it was", "[core][interrupts]") {
  for (int round = 0; round < 20; ++round) {  // in most of them the signal finds it asleep
    Interrupts interrupts;
    OneShot pending;
    std::thread other{[&] { interrupts.raise(ExitReason::shutdown()); }};
    CHECK(interrupts.sleep(pending, Deadline::never()) == Waited::interrupted);
    other.join();
    const Deadline deadline = Deadline::after(1ms);

    CHECK_FALSE(pending.sleep(deadline));
    CHECK(deadline.has_passed());
  }
}

TEST_CASE("a mask holds signals off for as long as it lives", "[core][interrupts]") {
  Interrupts interrupts;
  interrupts.raise(ExitReason::shutdown());
  {
    const InterruptMask outer{&interrupts};
    { const InterruptMask inner{&interrupts}; }

    CHECK_FALSE(interrupts.is_due());
  }

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

TEST_CASE("a stop token that is asked for after the signal tells of it", "[core][interrupts]") {
  Interrupts interrupts;

  interrupts.raise(ExitReason::shutdown());

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
