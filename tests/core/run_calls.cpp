// SPDX-License-Identifier: BSL-1.0
// Calls that run on the caller's thread keep every promise but the thread.
#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>

#include <stdexcept>
#include <thread>
#include <vector>

#include <pthread.h>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

Options on_caller(const std::string& name) {
  return {.name = name, .run_calls = RunCalls::on_caller_when_idle};
}

/// Waits until the server's thread has gone to sleep, so that a call finds the server idle.
template <class State>
void settle(GenServer<State>& server) {
  REQUIRE(eventually([&] {
    return server.call([](State&) { return std::this_thread::get_id(); }) ==
           std::this_thread::get_id();
  }));
}

}  // namespace

TEST_CASE("an idle server's call runs on the caller's thread", "[core][run_calls]") {
  GenServer<int> server{on_caller("idle"), 1};
  settle(server);

  const auto [thread, answer] = server.call([](int& n) {
    return std::pair{std::this_thread::get_id(), ++n};
  });

  CHECK(thread == std::this_thread::get_id());
  CHECK(answer == 2);
}

TEST_CASE("by default every handler runs on the server's own thread", "[core][run_calls]") {
  GenServer<int> server{{.name = "own"}, 1};
  std::vector<std::thread::id> threads;

  for (int i = 0; i < 100; ++i) {
    threads.push_back(server.call([](int&) { return std::this_thread::get_id(); }));
  }

  for (const auto thread : threads) CHECK(thread == threads.front());
  CHECK(threads.front() != std::this_thread::get_id());
}

TEST_CASE("State is made and destroyed on the server's thread also then", "[core][run_calls]") {
  struct Traced {
    explicit Traced(std::vector<std::thread::id>& out) : threads{out} {
      threads.push_back(std::this_thread::get_id());
    }
    ~Traced() { threads.push_back(std::this_thread::get_id()); }
    std::vector<std::thread::id>& threads;
  };
  std::vector<std::thread::id> threads;
  {
    GenServer<Traced> server{on_caller("traced"), threads};
    settle(server);
  }

  REQUIRE(threads.size() == 2);
  CHECK(threads[0] == threads[1]);
  CHECK(threads[0] != std::this_thread::get_id());
}

TEST_CASE("a call after casts of the same thread sees their effects", "[core][run_calls]") {
  GenServer<int> server{on_caller("fifo"), 0};
  settle(server);

  for (int i = 1; i <= 500; ++i) {
    server.cast([](int& n) { ++n; });
    REQUIRE(server.call([](int& n) { return n; }) == i);
  }
}

TEST_CASE("handlers exclude each other whichever thread runs them", "[core][run_calls]") {
  GenServer<int> server{on_caller("excluded"), 0};
  std::vector<std::thread> threads;

  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        if ((i + t) % 3 == 0) server.cast([](int& n) { ++n; });
        else server.call([](int& n) { ++n; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(server.call([](int& n) { return n; }) == 8000);
}

TEST_CASE("an exception on the caller's thread reaches the caller, and the server lives",
          "[core][run_calls]") {
  GenServer<int> server{on_caller("throws"), 5};
  settle(server);

  CHECK_THROWS_AS(server.call([](int&) { throw std::out_of_range{"row"}; }), std::out_of_range);

  CHECK(server.call([](int& n) { return n; }) == 5);
}

TEST_CASE("Exit on the caller's thread ends the server with its reason", "[core][run_calls]") {
  GenServer<int> server{on_caller("exits"), 5};
  settle(server);

  CHECK_THROWS_AS(server.call([](int&) { throw Exit{ExitReason::shutdown("done")}; }), ServerGone);

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(server.exit_reason() == ExitReason::shutdown("done"));
}

TEST_CASE("a caller's thread that is ended in the handler ends the server", "[core][run_calls]") {
  const ReportLog log;
  GenServer<int> server{on_caller("unwound"), 5};
  settle(server);

  std::thread caller{[&] { server.call([](int&) { ::pthread_exit(nullptr); }); }};
  caller.join();

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(server.exit_reason() == ExitReason::killed());
}

TEST_CASE("with OnException crash the server ends also on the caller's thread",
          "[core][run_calls]") {
  const ReportLog log;
  Options options = on_caller("crashes");
  options.on_exception = OnException::crash;
  GenServer<int> server{options, 5};
  settle(server);

  CHECK_THROWS_AS(server.call([](int&) { throw std::out_of_range{"row"}; }), ServerGone);

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(log.count(Report::Kind::crash) == 1);
}

TEST_CASE("servers that run on one thread find their deadlock", "[core][run_calls]") {
  const ReportLog log;
  GenServer<int> a{on_caller("a"), 0};
  GenServer<int> b{on_caller("b"), 0};
  settle(a);
  settle(b);

  CHECK_THROWS_AS(a.call([&](int&) { b.call([&](int&) { a.call([](int&) {}); }); }), Deadlock);

  CHECK(log.count(Report::Kind::deadlock) == 1);
  CHECK(a.call([&](int&) { return b.call([](int&) { return 7; }); }) == 7);
}

TEST_CASE("self, continuations, timers and stop work from the caller's thread",
          "[core][run_calls]") {
  GenServer<std::vector<int>> server{on_caller("all")};
  settle(server);

  server.call([&](std::vector<int>& seen) {
    const auto me = self<std::vector<int>>();
    me.cast([](std::vector<int>& later) { later.push_back(3); });
    me.continue_with([](std::vector<int>& next) { next.push_back(2); });
    me.cast_after(0ms, [](std::vector<int>& timed) { timed.push_back(4); });
    me.call([](std::vector<int>& now) { now.push_back(1); });
    CHECK_THROWS_AS(server.stop(), SelfWait);
    seen.push_back(1);
  });

  CHECK(eventually([&] {
    return server.call([](std::vector<int>& seen) { return seen; }) ==
           std::vector<int>{1, 1, 2, 3, 4};
  }));
}

TEST_CASE("a call on the caller's thread serves those who wait for a guard", "[core][run_calls]") {
  GenServer<int> server{on_caller("guarded"), 0};
  std::atomic<int> tries{0};
  std::thread waiting{[&] {
    server.call_when([&](const int& n) { return ++tries > 0 && n == 1; }, [](int& n) { n = 2; });
  }};
  REQUIRE(eventually([&] { return tries > 0; }));

  server.call([](int& n) { n = 1; });
  waiting.join();

  CHECK(server.call([](int& n) { return n; }) == 2);
}

TEST_CASE("the last owner may go in a handler on the caller's thread", "[core][run_calls]") {
  auto owner = genserver::start<GenServer<int>>(on_caller("dropped"), 0);
  settle(*owner);
  const auto server = owner->ref();

  server.call([&](int&) { owner.reset(); });

  CHECK(eventually([&] { return !server.is_alive(); }));
}

TEST_CASE("a handler that is stuck on the caller's thread is reported with that stack",
          "[core][run_calls]") {
  const ReportLog log;
  Gate may_end;
  Options options = on_caller("stuck here");
  options.stuck_after = 20ms;
  GenServer<int> server{options, 0};
  settle(server);
  std::thread caller{[&] { server.call([&](int&) { may_end.wait(); }); }};

  const bool is_reported = eventually([&] {
    for (const Report& report : log.of(Report::Kind::stuck)) {
      if (report.server == "stuck here" && !report.stacks[0].stack.frames.empty()) return true;
    }
    return false;
  });
  may_end.open();
  caller.join();

  CHECK(is_reported);
}
