// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/one_shot.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

using genserver::Deadline;
using genserver::OneShot;
using genserver::SpinGovernor;
using Clock = Deadline::Clock;
using namespace std::chrono_literals;

TEST_CASE("an event has not happened until it is set", "[sync][one_shot]") {
  OneShot done;
  REQUIRE_FALSE(done.is_set());

  done.set();

  CHECK(done.is_set());
}

TEST_CASE("who waits for what has happened does not sleep", "[sync][one_shot]") {
  OneShot done;
  SpinGovernor governor;
  done.set();

  CHECK(done.sleep(Deadline::never()));
  CHECK(done.sleep(Deadline{Clock::time_point::min()}));
  CHECK(done.spin(governor));
}

TEST_CASE("who waits in vain is told so at the deadline", "[sync][one_shot]") {
  OneShot done;
  const Deadline deadline = Deadline::after(5ms);

  CHECK_FALSE(done.sleep(deadline));
  CHECK(deadline.has_passed());
}

TEST_CASE("a deadline in the past ends the wait at once", "[sync][one_shot]") {
  const Clock::time_point past = GENERATE(Clock::now(), Clock::now() - 1h, Clock::time_point{},
                                          Clock::time_point{-1ns}, Clock::time_point::min());
  OneShot done;

  CHECK_FALSE(done.sleep(Deadline{past}));
}

TEST_CASE("an event can be waited for again after the deadline", "[sync][one_shot]") {
  OneShot done;
  REQUIRE_FALSE(done.sleep(Deadline{Clock::now()}));
  bool has_slept = false;

  std::thread waiter{[&] { has_slept = done.sleep(Deadline::never()); }};
  done.set();
  waiter.join();

  CHECK(has_slept);
}

TEST_CASE("everybody who waits is woken", "[sync][one_shot]") {
  OneShot done;
  std::atomic<int> begun{0};
  std::atomic<int> woken{0};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&] {
      ++begun;
      woken += done.sleep(Deadline::never()) ? 1 : 0;
    });
  }
  REQUIRE(eventually([&] { return begun == 4; }));

  done.set();
  for (std::thread& waiter : waiters) waiter.join();

  CHECK(woken == 4);
}

TEST_CASE("a spin in vain ends by itself", "[sync][one_shot]") {
  OneShot done;
  SpinGovernor governor;

  CHECK_FALSE(done.spin(governor));
}

TEST_CASE("what was written before is visible to who sees it set", "[sync][one_shot]") {
  OneShot done;
  std::vector<int> result;  // unguarded: ThreadSanitizer sees if the order were missing

  std::thread worker{[&] {
    result.assign(100, 7);
    done.set();
  }};
  const bool is_set = eventually([&] { return done.is_set(); });
  const std::vector<int> seen = is_set ? result : std::vector<int>{};
  worker.join();

  CHECK(seen == std::vector<int>(100, 7));
}

namespace {

// A call's frame, which goes as soon as it is answered.
struct Frame {
  int result = 0;
  OneShot done{};
};

/// Takes the frames that are put into `next` and answers them, until `ends`.
void answer(std::atomic<Frame*>& next, const std::atomic<bool>& ends) {
  while (!ends) {
    Frame* const frame = next.exchange(nullptr);
    if (frame == nullptr) {
      std::this_thread::yield();
      continue;
    }
    frame->result = 42;
    frame->done.set();
  }
}

}  // namespace

TEST_CASE("an event may be destroyed as soon as it is seen to be set",
          "[.stress][sync][one_shot]") {
  std::atomic<Frame*> next{nullptr};
  std::atomic<bool> ends{false};
  std::thread server{[&] { answer(next, ends); }};
  SpinGovernor governor;
  int wrong = 0;

  for (int round = 0; round < 30'000 && wrong == 0; ++round) {
    auto frame = std::make_unique<Frame>();
    next = frame.get();
    const bool is_set =
        (round % 2 == 0 && frame->done.spin(governor)) || frame->done.sleep(Deadline::after(10s));
    wrong += is_set && frame->result == 42 ? 0 : 1;
    if (!is_set) static_cast<void>(frame.release());
  }
  ends = true;
  server.join();

  CHECK(wrong == 0);
}

TEST_CASE("deadlines that race with the event lose nothing", "[.stress][sync][one_shot]") {
  int wrong = 0;

  for (int round = 0; round < 2'000 && wrong == 0; ++round) {
    OneShot done;
    Gate begins;
    std::thread setter{[&] {
      begins.wait();
      done.set();
    }};
    begins.open();
    static_cast<void>(done.sleep(Deadline::after(std::chrono::microseconds{round % 100})));
    wrong += done.sleep(Deadline::after(10s)) ? 0 : 1;
    setter.join();
  }

  CHECK(wrong == 0);
}
