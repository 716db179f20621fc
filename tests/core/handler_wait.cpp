// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/handler_wait.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/gate.hpp>

#include <chrono>
#include <thread>

using namespace genserver;
using namespace std::chrono_literals;

TEST_CASE("a thread that is no server sleeps until it is woken, or the deadline",
          "[core][handler_wait]") {
  OneShot pending;
  OneShot awake;
  std::thread other{[&] { awake.set(); }};

  CHECK(sleep_interruptibly(awake, Deadline::never()) == Waited::done);
  other.join();

  CHECK(sleep_interruptibly(pending, Deadline::after(1ms)) == Waited::late);
  CHECK_NOTHROW(check_exit());
}

TEST_CASE("an exit signal ends the sleep of a handler, which is then told of it",
          "[core][handler_wait]") {
  GenServer<int> server{{}, 0};
  Gate is_running;
  Waited waited = Waited::done;
  bool is_left = false;
  server.cast([&] {
    check_exit();  // there is no signal yet
    is_running.open();
    OneShot never;
    waited = sleep_interruptibly(never, Deadline::never());
    is_left = true;
    check_exit();
    is_left = false;  // not reached
  });
  is_running.wait();

  server.exit(ExitReason::shutdown("enough"));
  server.wait();

  CHECK(waited == Waited::interrupted);
  CHECK(is_left);
  CHECK(server.exit_reason() == ExitReason::shutdown("enough"));
}

TEST_CASE("a handler that sleeps is woken, too", "[core][handler_wait]") {
  GenServer<int> server{{}, 0};
  OneShot awake;
  Gate is_running;
  std::thread other{[&] {
    is_running.wait();
    awake.set();
  }};

  const Waited waited = server.call([&] {
    is_running.open();
    return sleep_interruptibly(awake, Deadline::never());
  });
  other.join();

  CHECK(waited == Waited::done);
}
