// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/shutdown_guard.hpp>

#include <support/catch.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>
#include <support/run_until_halted.hpp>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#if defined(__unix__)
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace genserver;
using namespace std::chrono_literals;

TEST_CASE("a guard shuts the runner down at the end of the scope", "[otp][shutdown_guard]") {
  Runner runner;
  {
    const ShutdownGuard guard{runner, 10s, OnHanging::terminate};
    runner.start(Service{"a", run_until_halted}, Service{"b", run_until_halted});
  }

  CHECK(runner.services().empty());
  CHECK(runner.state() == RunnerState::shut_down);
}

TEST_CASE("a guard reports who hangs, and leaves the rest to the runner",
          "[otp][shutdown_guard]") {
  const ReportLog log;
  Gate go_on;
  Runner runner;
  {
    const ShutdownGuard guard{runner, 1ms};
    runner.start(Service{"stubborn", [&](ServiceContext& context) {
      context.ready();
      go_on.wait();
    }});
  }

  REQUIRE(log.of(Report::Kind::stuck).size() == 1);
  CHECK(log.of(Report::Kind::stuck)[0].server == "stubborn");
  CHECK(runner.services({ServiceState::halting}).size() == 1);
  go_on.open();
}

TEST_CASE("nothing leaves a guard, whatever the services throw", "[otp][shutdown_guard]") {
  const ReportLog log;
  Runner runner;
  {
    const ShutdownGuard guard{runner, 10s, OnHanging::terminate};
    runner.start(Service{"throwing", [](ServiceContext& context) {
      context.ready();
      context.await_halt();
      throw 1;
    }});
  }

  CHECK(runner.services().empty());
}

TEST_CASE("a guard in a handler waits though there is an exit signal", "[otp][shutdown_guard]") {
  std::atomic<bool> has_ended{false};
  bool was_ended = false;
  Gate entered;
  GenServer<int> server{{}, 0};
  server.cast([&] {
    Runner runner;
    runner.start(Service{"slow", [&](ServiceContext& context) {
      context.ready();
      context.await_halt();
      for (int i = 0; i < 100; ++i) std::this_thread::yield();
      has_ended = true;
    }});
    {
      const ShutdownGuard guard{runner, 10s};
      entered.open();
      while (!self_stop_token().stop_requested()) std::this_thread::yield();
    }
    was_ended = has_ended;
  });
  entered.wait();

  server.exit(ExitReason::shutdown());
  server.wait();

  CHECK(was_ended);
}

#if defined(__unix__)
TEST_CASE("child: a program whose service hangs at its end", "[.child]") {
  std::signal(SIGABRT, SIG_DFL);  // not the test program's
  set_report_sink([](const Report&) {});
  Gate go_on;
  Runner runner;
  const ShutdownGuard guard{runner, 1ms, OnHanging::terminate};
  runner.start(Service{"stubborn", [&](ServiceContext& context) {
    context.ready();
    go_on.wait();
  }});
}

TEST_CASE("child: a program whose listener of an end hangs", "[.child]") {
  std::signal(SIGABRT, SIG_DFL);  // not the test program's
  set_report_sink([](const Report&) {});
  Gate is_telling;
  Gate go_on;
  Runner runner{{.on_end = [&](const ServiceEnd&) {
    is_telling.open();
    go_on.wait();
  }}};
  const ShutdownGuard guard{runner, 1ms, OnHanging::terminate};
  runner.start(Service{"brief", [](ServiceContext& context) { context.ready(); }});
  is_telling.wait();
}

TEST_CASE("a guard may terminate a program whose services hang", "[otp][shutdown_guard]") {
  const char* const program = GENERATE("child: a program whose service hangs at its end",
                                       "child: a program whose listener of an end hangs");
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/proc/self/exe", "otp_tests", program, nullptr);
    std::_Exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);

  CHECK(WIFSIGNALED(status));
}

TEST_CASE("a guard in a child of fork ends nothing, and nothing ends it",
          "[otp][shutdown_guard]") {
  Runner runner;
  const Service service{"ticker", run_until_halted};
  runner.start(service);
  pid_t child = -1;
  {
    const ShutdownGuard guard{runner, 10s, OnHanging::terminate};
    child = ::fork();
    if (child == 0) std::signal(SIGABRT, SIG_DFL);  // not the test program's
  }
  if (child == 0) ::_exit(7);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);

  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("a guard that cannot wait terminates nothing", "[otp][shutdown_guard]") {
  const ReportLog log;
  Runner runner;
  Gate has_passed;
  const Service service{"guarding", [&](ServiceContext& context) {
    context.ready();
    { const ShutdownGuard guard{runner, 10s, OnHanging::terminate}; }  // it cannot wait for itself
    has_passed.open();
    context.await_halt();
  }};
  runner.start(service);

  has_passed.wait();

  CHECK(runner.state(service) == ServiceState::started);
}
#endif
