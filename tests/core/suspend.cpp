// SPDX-License-Identifier: BSL-1.0
#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

TEST_CASE("a suspended server handles nothing, and everything when it resumes",
          "[core][suspend]") {
  const GenServer<int> server{{}, 0};
  std::atomic<int> handled{0};

  server.suspend();
  for (int i = 0; i < 5; ++i) server.cast([&](int&) { ++handled; });
  CHECK_THROWS_AS(server.call_for(5ms, [] {}), CallTimeout);
  CHECK(handled == 0);
  server.resume();
  server.call([] {});

  CHECK(handled == 5);
}

TEST_CASE("suspend returns when what was sent before has been handled", "[core][suspend]") {
  const GenServer<int> server{{}, 0};
  std::atomic<int> handled{0};
  for (int i = 0; i < 100; ++i) server.cast([&](int&) { ++handled; });

  server.suspend();

  CHECK(handled == 100);
  server.resume();
}

TEST_CASE("suspending twice is as suspending once", "[core][suspend]") {
  const GenServer<int> server{{}, 0};

  server.suspend();
  server.suspend();
  server.resume();

  CHECK(server.call([](int& n) { return n; }) == 0);
}

TEST_CASE("a server that is not suspended may be resumed", "[core][suspend]") {
  const GenServer<int> server{{}, 0};

  server.resume();

  CHECK(server.call([](int& n) { return n; }) == 0);
}

TEST_CASE("a server may suspend itself, from its next message on", "[core][suspend]") {
  const GenServer<int> server{{}, 0};

  const int seen = server.call([&](int& n) {
    server.suspend();
    return ++n;
  });

  CHECK(seen == 1);
  CHECK_THROWS_AS(server.call_for(1ms, [] {}), CallTimeout);
  server.resume();
  CHECK(server.call([](int& n) { return n; }) == 1);
}

TEST_CASE("a suspended server that is asked to stop handles what it has, and ends",
          "[core][suspend]") {
  std::atomic<int> handled{0};
  const auto server = std::make_unique<GenServer<int>>(Options{}, 0);
  server->suspend();
  server->cast([&](int&) { ++handled; });

  server->stop();

  CHECK(handled == 1);
  CHECK(server->exit_reason() == ExitReason::normal());
}

TEST_CASE("a suspended server may be destroyed", "[core][suspend]") {
  std::atomic<int> handled{0};
  {
    const GenServer<int> server{{}, 0};
    server.suspend();
    server.cast([&](int&) { ++handled; });
  }
  CHECK(handled == 1);
}

TEST_CASE("a server that was suspended when it ended is not taken for a suspended one",
          "[core][suspend]") {
  GenServer<int> server{{}, 0};
  server.cast([&] {
    server.suspend();
    throw Exit{};
  });
  server.wait();

  CHECK_THROWS_AS(server.suspend(), ServerGone);
}

TEST_CASE("a stop that races with a suspension ends the server", "[core][suspend]") {
  for (int round = 0; round < 200; ++round) {
    const GenServer<int> server{{}, 0};
    const auto ref = server.ref();
    std::thread suspending{[&] {
      try {
        ref.suspend();
      } catch (const ServerGone&) {  // the stop was faster
      }
    }};
    ref.request_stop();
    suspending.join();
  }
}

TEST_CASE("a suspended server runs no calls on their callers either", "[core][suspend]") {
  const GenServer<int> server{{.run_calls = RunCalls::on_caller_when_idle}, 0};
  server.suspend();
  std::atomic<bool> has_run{false};
  std::thread caller{[&] { server.call([&] { has_run = true; }); }};

  CHECK_THROWS_AS(server.call_for(10ms, [] {}), CallTimeout);
  CHECK(!has_run);
  server.resume();
  caller.join();

  CHECK(has_run);
}

TEST_CASE("a guarded call waits for the end of the suspension, and for nothing else",
          "[core][suspend]") {
  const GenServer<int> server{{}, 0};
  std::atomic<int> asked{0};
  std::atomic<bool> has_run{false};
  std::thread caller{[&] {
    server.call_when(
        [&](const int& n) {
          ++asked;
          return n == 1;
        },
        [&] { has_run = true; });
  }};
  CHECK(eventually([&] { return asked > 0; }));
  server.call([&](int& n) {
    n = 1;
    server.suspend();
  });
  CHECK(!has_run);

  server.resume();
  caller.join();  // without another message

  CHECK(has_run);
}

TEST_CASE("of two that suspend at once none undoes a resume", "[core][suspend]") {
  for (int round = 0; round < 100; ++round) {
    const GenServer<int> server{{}, 0};
    std::thread first{[&] { server.suspend(); }};
    std::thread second{[&] { server.suspend(); }};
    CHECK(eventually([&] {
      server.resume();
      return server.try_cast([] {});
    }));
    std::atomic<bool> are_back{false};
    std::thread resuming{[&] {
      while (!are_back) {
        server.resume();
        std::this_thread::yield();
      }
    }};
    first.join();
    second.join();
    are_back = true;
    resuming.join();
    server.resume();

    CHECK(server.call([] { return 1; }) == 1);
  }
}

TEST_CASE("timers of a suspended server wait for it", "[core][suspend]") {
  const GenServer<int> server{{}, 0};
  std::atomic<bool> has_run{false};
  server.suspend();
  server.cast_after(0s, [&](int&) { has_run = true; });

  CHECK_THROWS_AS(server.call_for(10ms, [] {}), CallTimeout);
  CHECK(!has_run);
  server.resume();

  CHECK(eventually([&] { return has_run.load(); }));
}

TEST_CASE("a snapshot shows that a server is suspended", "[core][suspend]") {
  const GenServer<int> server{{}, 0};
  const auto activity = [&] {
    const Snapshot all = snapshot();
    return all.servers.at(all.find(server.pid()).value()).activity;
  };

  server.suspend();
  CHECK(eventually([&] { return activity() == ServerSnapshot::Activity::suspended; }));
  server.resume();
  server.call([] {});

  CHECK(eventually([&] { return activity() == ServerSnapshot::Activity::idle; }));
}

TEST_CASE("an ended server can neither be suspended nor harmed by resume", "[core][suspend]") {
  GenServer<int> server{{}, 0};
  server.stop();

  CHECK_THROWS_AS(server.suspend(), ServerGone);
  CHECK_NOTHROW(server.resume());
}

TEST_CASE("many threads may suspend and resume a server that works", "[core][suspend][.stress]") {
  const GenServer<int> server{{}, 0};
  std::atomic<bool> is_over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!is_over) {
        server.suspend();
        server.resume();
      }
    });
  }
  std::thread resuming{[&] {
    while (!is_over) {
      server.resume();
      std::this_thread::yield();
    }
  }};
  for (int i = 0; i < 2000; ++i) server.call([](int& n) { ++n; });
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  resuming.join();
  server.resume();

  CHECK(server.call([](int& n) { return n; }) == 2000);
}
