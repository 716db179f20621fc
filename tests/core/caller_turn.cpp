// SPDX-License-Identifier: BSL-1.0
// Calls that run on the caller's thread keep every promise but the thread.
#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
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

/// Calls so often in a row that the right to run the server stays ready for the next call.
void call_often(GenServer<int>& server) {
  settle(server);
  for (int i = 0; i < 5000; ++i) server.call([](int& n) { ++n; });
}

}  // namespace

TEST_CASE("an idle server's call runs on the caller's thread", "[core][caller_turn]") {
  GenServer<int> server{on_caller("idle"), 1};
  settle(server);

  const auto [thread, answer] = server.call([](int& n) {
    return std::pair{std::this_thread::get_id(), ++n};
  });

  CHECK(thread == std::this_thread::get_id());
  CHECK(answer == 2);
}

TEST_CASE("by default every handler runs on the server's own thread", "[core][caller_turn]") {
  GenServer<int> server{{.name = "own"}, 1};
  std::vector<std::thread::id> threads;

  for (int i = 0; i < 100; ++i) {
    threads.push_back(server.call([](int&) { return std::this_thread::get_id(); }));
  }

  for (const auto thread : threads) CHECK(thread == threads.front());
  CHECK(threads.front() != std::this_thread::get_id());
}

TEST_CASE("State is made and destroyed on the server's thread also then", "[core][caller_turn]") {
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

TEST_CASE("a call after casts of the same thread sees their effects", "[core][caller_turn]") {
  GenServer<int> server{on_caller("fifo"), 0};
  settle(server);

  for (int i = 1; i <= 500; ++i) {
    server.cast([](int& n) { ++n; });
    REQUIRE(server.call([](int& n) { return n; }) == i);
  }
}

TEST_CASE("handlers exclude each other whichever thread runs them", "[core][caller_turn]") {
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
          "[core][caller_turn]") {
  GenServer<int> server{on_caller("throws"), 5};
  settle(server);

  CHECK_THROWS_AS(server.call([](int&) { throw std::out_of_range{"row"}; }), std::out_of_range);

  CHECK(server.call([](int& n) { return n; }) == 5);
}

TEST_CASE("Exit on the caller's thread ends the server with its reason", "[core][caller_turn]") {
  GenServer<int> server{on_caller("exits"), 5};
  settle(server);

  CHECK_THROWS_AS(server.call([](int&) { throw Exit{ExitReason::shutdown("done")}; }), ServerGone);

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(server.exit_reason() == ExitReason::shutdown("done"));
}

TEST_CASE("a caller that has ended the server is told when it is over", "[core][caller_turn]") {
  struct Slow {
    ~Slow() {  // gives who does not wait the time to be told
      for (int i = 0; i < 1000 && !is_told; ++i) std::this_thread::yield();
      was_told = is_told.load();
    }
    std::atomic<bool>& is_told;
    bool& was_told;
  };
  std::atomic<bool> is_told{false};
  bool was_told = true;
  GenServer<Slow> server{on_caller("exits"), is_told, was_told};
  settle(server);

  const auto gone = thrown<ServerGone>(
      [&] { server.call([] { throw Exit{ExitReason::shutdown("done")}; }); });
  is_told = true;

  REQUIRE(gone.has_value());
  CHECK(gone->reason() == ExitReason::shutdown("done"));
  CHECK_FALSE(was_told);
}

TEST_CASE("a caller's thread that is ended in the handler ends the server", "[core][caller_turn]") {
  const ReportLog log;
  GenServer<int> server{on_caller("unwound"), 5};
  settle(server);

  std::thread caller{[&] { server.call([](int&) { ::pthread_exit(nullptr); }); }};
  caller.join();

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(server.exit_reason() == ExitReason::killed());
}

TEST_CASE("with OnException crash the server ends also on the caller's thread",
          "[core][caller_turn]") {
  const ReportLog log;
  Options options = on_caller("crashes");
  options.on_exception = OnException::crash;
  GenServer<int> server{options, 5};
  settle(server);

  CHECK_THROWS_AS(server.call([](int&) { throw std::out_of_range{"row"}; }), ServerGone);

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(log.count(Report::Kind::crash) == 1);
}

TEST_CASE("servers that run on one thread find their deadlock", "[core][caller_turn]") {
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
          "[core][caller_turn]") {
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

TEST_CASE("a call on the caller's thread serves those who wait for a guard", "[core][caller_turn]") {
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

TEST_CASE("the last owner may go in a handler on the caller's thread", "[core][caller_turn]") {
  auto owner = genserver::start<GenServer<int>>(on_caller("dropped"), 0);
  settle(*owner);
  const auto server = owner->ref();

  server.call([&](int&) { owner.reset(); });

  CHECK(eventually([&] { return !server.is_alive(); }));
}

TEST_CASE("a handler that is stuck on the caller's thread is reported with that stack",
          "[core][caller_turn]") {
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

TEST_CASE("a call handles what was queued before it, in order, on its own thread",
          "[core][caller_turn]") {
  Gate may_go_on;
  GenServer<std::vector<std::thread::id>> server{on_caller("takes along")};
  const auto here = [](auto& threads) { threads.push_back(std::this_thread::get_id()); };
  bool is_along = false;

  for (int round = 0; round < 1000 && !is_along; ++round) {
    server.call([](auto& threads) { threads.clear(); });
    server.cast(here);  // wakes the server's thread, which may be slower than the call
    server.call(here);
    const auto threads = server.call([](auto& seen) { return seen; });
    REQUIRE(threads.size() == 2);
    is_along = threads[0] == std::this_thread::get_id();
  }

  CHECK(is_along);
}

TEST_CASE("callers that meet are served in the order of their calls", "[core][caller_turn]") {
  struct Last {
    std::array<int, 4> numbers{};
    int wrong = 0;
  };
  GenServer<Last> server{on_caller("in order")};
  std::vector<std::thread> threads;

  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&server, t] {
      for (int i = 1; i <= 3000; ++i) {
        const auto note = [t, i](Last& last) {
          last.wrong += std::exchange(last.numbers[t], i) == i - 1 ? 0 : 1;
        };
        i % 4 == 0 ? server.call(note) : static_cast<void>(server.cast(note));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(server.call([](Last& last) { return last.wrong; }) == 0);
  CHECK(server.call([](Last& last) { return last.numbers; }) == std::array{3000, 3000, 3000, 3000});
}

TEST_CASE("a caller who waits behind a handler gets his answer when that returns",
          "[core][caller_turn]") {
  Gate is_in, may_end;
  GenServer<int> server{on_caller("waits"), 0};
  settle(server);
  std::thread first{[&] {
    server.call([&](int& n) {
      is_in.open();
      may_end.wait();
      n = 1;
    });
  }};
  is_in.wait();
  std::vector<std::thread> others;
  std::atomic<int> sum{0};

  for (int i = 0; i < 3; ++i) {
    others.emplace_back([&] { sum += server.call([](int& n) { return n; }); });
  }
  may_end.open();
  first.join();
  for (std::thread& other : others) other.join();

  CHECK(sum == 3);
}

TEST_CASE("a server that is killed in a caller's handler lets its other callers go",
          "[core][caller_turn]") {
  const ReportLog log;
  Gate is_in, may_end;
  GenServer<int> server{on_caller("killed here"), 0};
  settle(server);
  std::atomic<int> gone{0};
  const auto call = [&](auto handler) {
    try {
      server.call(handler);
    } catch (const ServerGone& error) {
      gone += error.reason() == ExitReason::killed() ? 1 : 0;
    }
  };
  std::thread runner{[&] {
    call([&](int&) {
      is_in.open();
      may_end.wait();
    });
  }};
  is_in.wait();
  std::thread other{[&] { call([](int&) {}); }};

  server.kill();
  other.join();
  CHECK(gone == 1);
  may_end.open();
  runner.join();

  CHECK(gone == 2);
}

TEST_CASE("a thread that is ended in another's handler ends the server, and answers all",
          "[core][caller_turn]") {
  const ReportLog log;
  std::atomic<int> gone{0}, ended{0};

  for (int round = 0; round < 50; ++round) {
    GenServer<int> server{on_caller("ends threads"), 0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        try {
          server.call([t](int&) {
            if (t == 0) ::pthread_exit(nullptr);
          });
          ++ended;
        } catch (const ServerGone&) {
          ++gone;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(eventually([&] { return !server.is_alive(); }));
  }

  CHECK(gone + ended >= 100);  // each round one thread ends, which may be the server's
}

namespace {

/// Lets a thread wait in call_when until the State is not 0, and then run `handler`.
template <class Handler>
std::thread wait_in(GenServer<int>& server, std::atomic<int>& gone, Handler handler) {
  const auto tries = std::make_shared<std::atomic<int>>(0);
  std::thread waiting{[&server, &gone, tries, handler] {
    try {
      server.call_when(
          [&tries](const int& n) {
            ++*tries;
            return n != 0;
          },
          handler);
    } catch (const ServerGone&) {
      ++gone;
    }
  }};
  REQUIRE(eventually([&] { return *tries > 0; }));
  return waiting;
}

}  // namespace

TEST_CASE("a guarded call that ends the server while a caller runs it ends it at once",
          "[core][caller_turn]") {
  const ReportLog log;
  Options options = on_caller("guarded end");
  options.on_exception = OnException::crash;
  GenServer<int> server{options, 0};
  settle(server);
  std::atomic<int> gone{0}, later{0};
  std::thread waiting =
      wait_in(server, gone, [](int&) { throw Exit{ExitReason::shutdown("enough")}; });

  server.call([&](int& n) {
    n = 1;
    for (int i = 0; i < 3; ++i) server.cast([&] { ++later; });
  });

  waiting.join();
  CHECK(gone == 1);
  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(later == 0);
}

TEST_CASE("a guarded call that suspends the server while a caller runs it is heeded",
          "[core][caller_turn]") {
  GenServer<int> server{on_caller("guarded suspension"), 0};
  settle(server);
  std::atomic<int> gone{0};
  std::atomic<bool> has_run{false};
  std::thread waiting = wait_in(server, gone, [&](int&) { server.suspend(); });
  server.call([](int& n) { n = 1; });
  waiting.join();

  std::thread caller{[&] { server.call([&] { has_run = true; }); }};
  CHECK_THROWS_AS(server.call_for(10ms, [] {}), CallTimeout);
  CHECK(!has_run);
  server.resume();
  caller.join();

  CHECK(has_run);
}

TEST_CASE("a server that is killed in a guarded call ends its State", "[core][caller_turn]") {
  struct Noted {
    explicit Noted(std::atomic<bool>& out) noexcept : is_gone{out} {}
    ~Noted() { is_gone = true; }
    std::atomic<bool>& is_gone;
    bool is_open = false;
  };
  const ReportLog log;
  std::atomic<bool> is_gone{false}, has_gone_on{false};
  std::atomic<int> tries{0};
  Gate is_in, may_end;
  {
    GenServer<Noted> server{on_caller("guarded kill"), is_gone};
    const auto call = [&](auto&& function) {
      return std::thread{[&server, function] {
        try {
          function(server);
        } catch (const ServerGone&) {
        }
      }};
    };
    std::thread waiting = call([&](GenServer<Noted>& of) {
      of.call_when([&](const Noted& noted) { return ++tries > 0 && noted.is_open; }, [&](Noted&) {
        self<Noted>().continue_with([&] { has_gone_on = true; });
        is_in.open();
        may_end.wait();
      });
    });
    CHECK(eventually([&] { return tries > 0; }));
    std::thread opening = call([](GenServer<Noted>& of) {
      of.call([](Noted& noted) { noted.is_open = true; });
    });
    is_in.wait();
    server.kill();
    may_end.open();
    waiting.join();
    opening.join();
  }

  CHECK(eventually([&] { return is_gone.load(); }));
  CHECK(!has_gone_on);
}

TEST_CASE("a periodic timer goes on whoever runs its handler", "[core][caller_turn]") {
  GenServer<int> server{on_caller("ticks"), 0};
  const Timer timer = server.cast_every(1ms, [](int& n) { ++n; });
  for (int i = 0; i < 20'000; ++i) server.call([](int&) {});

  const int before = server.call([](int& n) { return n; });

  CHECK(eventually([&] { return server.call([](int& n) { return n; }) > before + 3; }));
}

TEST_CASE("who leaves a server that he has run does not wait for it any more",
          "[core][caller_turn]") {
  const ReportLog log;
  GenServer<int> outer{{.name = "outer"}, 0};
  GenServer<int> server{on_caller("inner"), 0};
  std::atomic<int> done{0};

  for (int round = 1; round <= 500; ++round) {
    outer.call([&](int&) {
      server.call([&](int&) {
        server.cast([&](int&) {
          outer.call([](int&) {});
          ++done;
        });
      });
    });
    REQUIRE(eventually([&] { return done == round; }));
  }

  CHECK(log.count(Report::Kind::deadlock) == 0);
}

TEST_CASE("a deadlock with a caller who runs a server is reported once", "[core][caller_turn]") {
  const ReportLog log;
  Options options = on_caller("b");
  options.on_deadlock = OnDeadlock::report;
  GenServer<int> a{{.name = "a", .on_deadlock = OnDeadlock::report}, 0};
  GenServer<int> b{options, 0};
  Gate is_in_a, is_in_b;
  std::thread first{[&] {
    a.call([&](int&) {
      is_in_a.open();
      is_in_b.wait();
      try {
        b.call([](int&) {});
      } catch (const ServerGone&) {
      }
    });
  }};
  is_in_a.wait();
  b.cast([&](int&) {
    is_in_b.open();
    a.call([](int&) {});
  });

  CHECK(eventually([&] { return log.count(Report::Kind::deadlock) > 0; }));
  b.kill();
  first.join();

  CHECK(log.count(Report::Kind::deadlock) == 1);
}

TEST_CASE("an exit signal reaches a handler that a destructor runs", "[core][caller_turn]") {
  GenServer<int> server{on_caller("unwound"), 0};
  settle(server);
  Gate is_in;
  std::atomic<bool> is_interrupted{false};
  struct Caller {
    ~Caller() {
      try {
        server.call([this](int&) {
          is_in.open();
          try {
            sleep_for(60s);
          } catch (const Exit&) {
            is_interrupted = true;
            throw;
          }
        });
      } catch (const ServerGone&) {
      }
    }
    GenServer<int>& server;
    Gate& is_in;
    std::atomic<bool>& is_interrupted;
  };
  std::thread caller{[&] {
    try {
      const Caller calls{server, is_in, is_interrupted};
      throw std::runtime_error{"on its way up"};
    } catch (const std::runtime_error&) {
    }
  }};
  is_in.wait();

  server.ref().exit(ExitReason::shutdown());
  caller.join();

  CHECK(is_interrupted);
}

TEST_CASE("after many calls by one thread others are heard as ever", "[core][caller_turn]") {
  const ReportLog log;
  Gate is_handled;
  const auto handle = [&] { is_handled.open(); };
  GenServer<int> server{on_caller("favoured"), 0};
  const int rounds = GENERATE(1, 3);
  const auto often = [&] {
    for (int round = 1; round < rounds; ++round) {
      call_often(server);
      server.cast([] {});
    }
    call_often(server);
  };
  often();

  SECTION("a cast") {
    CHECK(server.cast(handle));
    is_handled.wait();
  }
  SECTION("a cast of another thread") {
    std::thread{[&] { server.cast(handle); }}.join();
    is_handled.wait();
  }
  SECTION("a call of another thread") {
    std::thread{[&] { server.call(handle); }}.join();
  }
  SECTION("a timer") {
    server.cast_after(1ms, handle);
    is_handled.wait();
  }
  SECTION("a cast while a caller runs it") {
    Gate is_in;
    Gate go_on;
    std::thread caller{[&] {
      server.call([&] {
        is_in.open();
        go_on.wait();
      });
    }};
    is_in.wait();
    CHECK(server.cast(handle));
    go_on.open();
    is_handled.wait();
    caller.join();
  }
  SECTION("a timed call, a deferred one, and one with a guard") {
    CHECK(server.call_for(1min, [](int&) { return 7; }) == 7);
    CHECK(server.call<int>([](int&, Reply<int> reply) { reply.reply(8); }) == 8);
    CHECK(server.call_when([](const int& n) { return n > 0; }, [](int&) { return 9; }) == 9);
  }
  SECTION("suspend and resume") {
    server.suspend();
    CHECK_THROWS_AS(server.call_for(10ms, handle), CallTimeout);
    server.resume();
    server.call([] {});
  }
  SECTION("stop") {
    server.stop();
    CHECK_THROWS_AS(server.call([] {}), ServerGone);
  }
  SECTION("an exit signal") {
    server.ref().exit(ExitReason::shutdown());
    server.ref().wait();
    CHECK(server.exit_reason() == ExitReason::shutdown());
  }
  SECTION("kill") {
    server.kill();
    CHECK_THROWS_AS(server.call([] {}), ServerGone);
  }
  SECTION("kill while a caller runs it") {
    Gate is_in;
    Gate go_on;
    std::thread caller{[&] {
      try {
        server.call([&] {
          is_in.open();
          go_on.wait();
        });
      } catch (const ServerGone&) {
      }
    }};
    is_in.wait();
    server.kill();
    CHECK_FALSE(server.is_alive());
    go_on.open();
    caller.join();
  }
  SECTION("Exit in a call") {
    CHECK_THROWS_AS(server.call([] { throw Exit{ExitReason::shutdown()}; }), ServerGone);
    server.ref().wait();
    CHECK(server.exit_reason() == ExitReason::shutdown());
  }
}

TEST_CASE("callers that seldom meet are all answered", "[core][caller_turn]") {
  constexpr int count = 20'000;
  GenServer<int> server{on_caller("seldom"), 0};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random{t + 1};
      for (int i = 0; i < count; ++i) {
        server.call([](int& n) { ++n; });
        if (random() % 1024 == 0) std::this_thread::sleep_for(std::chrono::microseconds{200});
        if (t == 0 && random() % 2048 == 0) taken += server.cast([](int& n) { --n; }) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(server.call([](int& n) { return n; }) == 3 * count - taken);
}

TEST_CASE("a handler that calls idle servers all the time leaves by an exit signal",
          "[core][caller_turn]") {
  GenServer<int> idle{on_caller("idle"), 0};
  GenServer<int> busy{{.name = "busy"}, 0};
  Gate is_in;
  busy.cast([&] {
    for (;;) {
      idle.call([](int& n) { ++n; });
      is_in.open();
    }
  });
  is_in.wait();

  busy.ref().exit(ExitReason::shutdown());
  busy.ref().wait();

  CHECK(busy.exit_reason() == ExitReason::shutdown());
}

TEST_CASE("whoever calls, casts, suspends or stops meanwhile, nothing is lost",
          "[core][caller_turn][.stress]") {
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> accepted{0}, handled{0};
    {
      GenServer<int> server{on_caller("busy"), 0};
      std::vector<std::thread> threads;
      for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
          std::minstd_rand random{t + 1};
          const auto handle = [&handled] { ++handled; };
          for (int i = 0; i < 500; ++i) {
            try {
              switch (random() % 8) {
                case 0: accepted += server.cast(handle) ? 1 : 0; break;
                case 1: server.cast_after(0ms, handle); ++accepted; break;
                case 2: server.suspend(); break;
                case 3:
                  server.call_when([](const int&) { return true; }, handle);
                  ++accepted;
                  break;
                default: server.call(handle); ++accepted;
              }
              server.resume();
            } catch (const ServerGone&) {
            }
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      server.resume();
      CHECK(eventually([&] { return handled == accepted; }));
    }
  }
}
