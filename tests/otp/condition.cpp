// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/condition.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/gate.hpp>

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

struct Number {
  Waited wait_for(int wanted, Deadline deadline = Deadline::never(), const StopToken& stop = {}) {
    std::unique_lock lock{mutex};
    return changed.wait(lock, deadline, stop, [&] {
      is_asked.open();
      return value == wanted;
    });
  }
  void set(int to) {
    const std::scoped_lock lock{mutex};
    value = to;
    changed.notify_all();
  }

  std::mutex mutex{};
  Condition changed{};
  int value = 0;
  Gate is_asked{};
};

}  // namespace

TEST_CASE("what is so already is not waited for", "[otp][condition]") {
  Number number;
  StopSource stop;
  stop.request_stop();

  CHECK(number.wait_for(0, Deadline{Deadline::Clock::now()}, stop.get_token()) == Waited::done);
}

TEST_CASE("all who wait look again when they are told", "[otp][condition]") {
  Number number;
  std::vector<Waited> results(3, Waited::late);
  std::vector<std::thread> threads;
  for (Waited& result : results) {
    threads.emplace_back([&] { result = number.wait_for(2); });
  }
  number.is_asked.wait();

  number.set(1);
  number.set(2);

  for (std::thread& thread : threads) thread.join();
  CHECK(results == std::vector<Waited>(3, Waited::done));
}

TEST_CASE("a wait ends with the deadline", "[otp][condition]") {
  Number number;

  CHECK(number.wait_for(1, Deadline::after(1ms)) == Waited::late);
  CHECK(number.wait_for(1, Deadline{Deadline::Clock::now()}) == Waited::late);
}

TEST_CASE("a wait ends when stop is requested, before it or in it", "[otp][condition]") {
  Number number;
  StopSource stop;
  std::thread other{[&] {
    number.is_asked.wait();
    stop.request_stop();
  }};

  CHECK(number.wait_for(1, Deadline::never(), stop.get_token()) == Waited::interrupted);
  other.join();

  CHECK(number.wait_for(1, Deadline::never(), stop.get_token()) == Waited::interrupted);
  CHECK_NOTHROW(check_exit());
}

TEST_CASE("the wait of a handler ends with an exit signal", "[otp][condition]") {
  Number number;
  GenServer<int> server{{}, 0};
  bool is_interrupted = false;
  server.cast([&] {
    is_interrupted = number.wait_for(1) == Waited::interrupted;
    check_exit();
    is_interrupted = false;  // not reached
  });
  number.is_asked.wait();

  server.exit(ExitReason::shutdown("enough"));
  server.wait();

  CHECK(is_interrupted);
  CHECK(server.exit_reason() == ExitReason::shutdown("enough"));
}

TEST_CASE("no news is lost, however they race with a wait", "[otp][condition]") {
  for (int round = 0; round < 300; ++round) {
    Number number;
    StopSource stop;
    std::thread teller{[&] { number.set(1); }};
    std::thread stopper{[&] { stop.request_stop(); }};

    const Waited first = number.wait_for(1, Deadline::never(), stop.get_token());
    const Waited second = number.wait_for(1);
    teller.join();
    stopper.join();

    CHECK((first == Waited::done || first == Waited::interrupted));
    CHECK(second == Waited::done);
  }
}
