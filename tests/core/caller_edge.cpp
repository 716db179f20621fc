// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/caller_edge.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <array>
#include <atomic>
#include <barrier>
#include <deque>
#include <thread>
#include <utility>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Ints = GenServer<int>;

/// Closes rings of servers that call each other all at the same moment.
int victims_of_ring(std::ptrdiff_t size) {
  std::deque<Ints> ring;
  std::vector<ServerRef<int>> refs;
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    ring.emplace_back(Options{.name = "ring"}, 0);
    refs.push_back(ring.back().ref());
  }
  std::barrier all_run{size};
  std::atomic<int> victims{0};
  for (std::size_t i = 0; i < refs.size(); ++i) {
    refs[i].cast([&, next = refs[(i + 1) % refs.size()]](int&) {
      all_run.arrive_and_wait();
      try {
        next.call([](int& n) { ++n; });
      } catch (const Deadlock&) {
        ++victims;
      }
    });
  }
  for (Ints& member : ring) member.stop();
  return victims;
}

}  // namespace

TEST_CASE("the call that closes a circle of two throws Deadlock", "[core][caller_edge]") {
  const ReportLog log;
  Ints connection{{.name = "connection"}, 1};
  Ints peer{{.name = "peer"}, 2};
  bool inner_was_refused = false;

  const int answer = connection.call([&](int&) {
    return peer.call([&](int& n) {
      try {
        connection.call([](int& m) { m = 100; });
      } catch (const Deadlock&) {
        inner_was_refused = true;
      }
      return n;
    });
  });

  CHECK(inner_was_refused);
  CHECK(answer == 2);
  CHECK(connection.call([](int& n) { return n; }) == 1);  // what closed the circle never ran
}

TEST_CASE("Deadlock lists every edge with names, pids and call sites", "[core][caller_edge]") {
  const ReportLog log;
  Ints connection{{.name = "connection"}, 1};
  Ints peer{{.name = "peer"}, 2};
  std::vector<WaitEdge> cycle;

  try {
    connection.call([&](int&) { peer.call([&](int&) { connection.call([](int&) {}); }); });
  } catch (const Deadlock& deadlock) {
    cycle = deadlock.cycle();
  }

  REQUIRE(cycle.size() == 2);
  CHECK(cycle[0].waiter == "peer");
  CHECK(cycle[0].target == "connection");
  CHECK(cycle[0].target_pid == connection.pid());
  CHECK(cycle[1].waiter_pid == connection.pid());
  CHECK(cycle[1].target == "peer");
  CHECK(cycle[0].site.file_name() == "caller_edge.cpp");
  CHECK(cycle[0].kind == WaitKind::call);
}

TEST_CASE("a deadlock is reported once, with the stack of every member", "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b"}, 0};
  Ints c{{.name = "c"}, 0};

  CHECK_THROWS_AS(
      a.call([&](int&) { b.call([&](int&) { c.call([&](int&) { a.call([](int&) {}); }); }); }),
      Deadlock);

  const auto reports = log.of(Report::Kind::deadlock);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].cycle.size() == 3);
  REQUIRE(reports[0].stacks.size() == 3);
  for (const ServerStack& member : reports[0].stacks) CHECK(!member.stack.frames.empty());
  CHECK(reports[0].text().find("c:") != std::string::npos);
}

TEST_CASE("a timed call that closes a circle is refused at once", "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b"}, 0};

  CHECK_THROWS_AS(
      a.call([&](int&) { b.call([&](int&) { a.call_for(1h, [](int& n) { return n; }); }); }),
      Deadlock);
}

TEST_CASE("getting a future that cannot come closes a circle", "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b"}, 0};

  CHECK_THROWS_AS(a.call([&](int&) {
    auto answer = b.async_call([&](int&) { return a.call([](int& n) { return n; }); });
    return answer.get();
  }),
                  Deadlock);
}

TEST_CASE("waiting for a future is no deadlock once the answer is there", "[core][caller_edge]") {
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b"}, 7};

  const int answer = a.call([&](int&) {
    auto first = b.async_call([](int& n) { return n; });
    b.call([](int&) {});
    return first.get();
  });

  CHECK(answer == 7);
}

TEST_CASE("servers that wait for room in each other's mailbox are found", "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a", .mailbox_capacity = 1}, 0};
  Ints b{{.name = "b", .mailbox_capacity = 1}, 0};
  std::barrier both_run{3};
  std::atomic<int> refused{0};
  const auto flood = [&](ServerRef<int> target) {
    both_run.arrive_and_wait();  // both run
    both_run.arrive_and_wait();  // both mailboxes are full
    try {
      target.cast([](int&) {});
    } catch (const Deadlock&) {
      ++refused;
    }
  };
  a.cast([&, target = b.ref()](int&) { flood(target); });
  b.cast([&, target = a.ref()](int&) { flood(target); });
  both_run.arrive_and_wait();
  a.cast([](int&) {});
  b.cast([](int&) {});
  both_run.arrive_and_wait();

  a.stop();
  b.stop();

  CHECK(refused == 1);
}

TEST_CASE("stopping a server that waits for oneself is refused", "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b"}, 3};

  CHECK_THROWS_AS(b.call([&](int&) { a.call([&](int&) { b.stop(); }); }), Deadlock);

  CHECK(b.call([](int& n) { return n; }) == 3);  // it was not stopped
}

TEST_CASE("a State's constructor that calls the server that starts it is refused",
          "[core][caller_edge]") {
  struct Child {
    explicit Child(const ServerRef<int>& parent) { parent.call([](int&) {}); }
  };
  const ReportLog log;
  Ints parent{{.name = "parent"}, 0};

  const auto start_child = [&](int&) { GenServer<Child>{{.name = "child"}, parent.ref()}; };

  CHECK_THROWS_AS(parent.call(start_child), Deadlock);
}

TEST_CASE("a call to a server that is ending is refused, not taken for a deadlock",
          "[core][caller_edge]") {
  struct Parent {
    explicit Parent(std::string& told) : answer{told} {}
    ~Parent() { child.stop(); }  // waits for the child's handler, which calls back
    std::string& answer;
    Ints child{{.name = "child"}, 0};
  };
  const ReportLog log;
  std::string told;
  GenServer<Parent> parent{{.name = "parent"}, told};
  Gate is_stopping;
  parent.call([&](Parent& state) {
    state.child.cast([&, parent_ref = parent.ref()](int&) {
      is_stopping.wait();
      while (parent_ref.try_cast([](Parent&) {})) std::this_thread::yield();  // until it is closed
      told = thrown<ServerGone>([&] { parent_ref.call([](Parent&) {}); }) ? "gone" : "not gone";
    });
  });

  is_stopping.open();
  parent.stop();

  CHECK(told == "gone");
  CHECK(log.count(Report::Kind::deadlock) == 0);
}

TEST_CASE("who waits for an end that is over is not waiting any more", "[core][caller_edge]") {
  struct Session : Ints {
    Session(ServerRef<int> user, std::atomic<bool>& called)
        : Ints{{.name = "session"}, 0}, owner{user}, has_called{called} {}
    ~Session() override { has_called = !thrown<Deadlock>([&] { owner.call([](int&) {}); }); }
    ServerRef<int> owner;
    std::atomic<bool>& has_called;
  };
  const ReportLog log;
  Ints owner{{.name = "owner"}, 0};
  std::atomic<bool> has_called{false};
  auto session = genserver::start<Session>(owner.ref(), has_called);
  const auto session_ref = session->ref();
  session_ref.cast([last = std::move(session)]() mutable { last.reset(); });

  owner.call([&](int&) { thrown<ServerGone>([&] { session_ref.stop(); }); });

  CHECK(eventually([&] { return has_called.load(); }));
}

TEST_CASE("a timed call keeps its edge though what it pushed out has waited for others",
          "[core][caller_edge]") {
  struct CallsWhenDropped {
    explicit CallsWhenDropped(ServerRef<int> called) : server{called} {}
    CallsWhenDropped(CallsWhenDropped&& other) noexcept
        : server{std::exchange(other.server, ServerRef<int>{})} {}
    ~CallsWhenDropped() {
      if (server) server.call([](int& n) { ++n; });
    }
    void operator()(int&) const {}
    ServerRef<int> server;
  };
  const ReportLog log;
  Ints logger{{.name = "logger"}, 0};
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b", .mailbox_capacity = 1, .on_full = OnFull::drop_oldest}, 0};
  Gate b_runs;
  b.cast([&](int&) {
    b_runs.open();
    while (logger.call([](int& n) { return n; }) == 0) std::this_thread::yield();
    thrown<Deadlock>([&] { a.call([](int&) {}); });
  });
  b_runs.wait();
  b.cast(CallsWhenDropped{logger.ref()});

  // The timed call pushes the closure out, and that calls the logger. One of a and b closes.
  a.call([&](int&) { thrown<Deadlock>([&] { b.call_for(1h, [](int& n) { return n; }); }); });
  b.stop();

  CHECK(log.count(Report::Kind::deadlock) == 1);
}

TEST_CASE("an owner that is dropped where waiting would be a deadlock goes without waiting",
          "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a"}, 0};
  auto b = std::make_unique<Ints>(Options{.name = "b"}, 0);
  const auto b_ref = b->ref();

  b_ref.call([&](int&) { a.call([&](int&) { b.reset(); }); });

  CHECK(eventually([&] { return !b_ref.is_alive(); }));
  CHECK(log.count(Report::Kind::deadlock) == 1);
}

TEST_CASE("a reply that was given to another thread is no edge", "[core][caller_edge]") {
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b"}, 0};
  std::thread helper;
  Gate b_is_waiting;

  std::thread client{[&] {
    a.call([&](int&) {
      b.call<int>([&](int&, Reply<int> reply) {
        helper = std::thread{[&, reply = std::move(reply)]() mutable {
          b_is_waiting.wait();
          reply.reply(5);
        }};
        b_is_waiting.open();
        a.call([](int& n) { n = 1; });  // waits, but only until the helper has answered
      });
    });
  }};
  client.join();
  helper.join();
  b.call([](int&) {});  // its handler may have been answered before it called

  CHECK(a.call([](int& n) { return n; }) == 1);
}

TEST_CASE("who waits for a reply that another thread has already is no edge",
          "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b"}, 0};
  Reply<int> kept;
  Gate b_calls, a_waits;

  auto answer = b.async_call<int>([&](int&, Reply<int> reply) { kept = std::move(reply); });
  b.call([](int&) {});  // it has been kept
  b.cast([&](int&) {
    b_calls.open();
    a.call([](int& n) { n = 1; });
  });
  auto waiting = a.async_call([&](int&) {
    b_calls.wait();
    a_waits.open();
    return answer.get();  // b waits for a, but it is this test that answers
  });
  a_waits.wait();
  kept.reply(5);

  CHECK(waiting.get() == 5);
  b.call([](int&) {});
  CHECK(a.call([](int& n) { return n; }) == 1);
  CHECK(log.count(Report::Kind::deadlock) == 0);
}

TEST_CASE("with on_deadlock report the circle is reported and waits", "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b", .on_deadlock = OnDeadlock::report}, 0};

  auto closing = a.async_call([&](int&) {
    return b.call([&](int&) {
      try {
        a.call_for(50ms, [](int& n) { return n; });
      } catch (const CallTimeout&) {
        return 1;
      }
      return 0;
    });
  });

  CHECK(closing.get() == 1);
  CHECK(log.count(Report::Kind::deadlock) == 1);
}

TEST_CASE("a circle that closes again at another place is reported again", "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a", .on_deadlock = OnDeadlock::report}, 0};
  Ints b{{.name = "b", .on_deadlock = OnDeadlock::report}, 0};
  Gate is_called;
  a.cast([&] {
    b.call([&] {
      for (int again = 0; again < 3; ++again) {
        CHECK_THROWS_AS(a.call_for(1ms, [] {}), CallTimeout);
      }
      CHECK_THROWS_AS(a.call_for(1ms, [] {}), CallTimeout);
    });
    is_called.open();
  });
  is_called.wait();

  CHECK(log.count(Report::Kind::deadlock) == 2);  // not again for the loop: a's wait is the same
}

TEST_CASE("who is about to leave by an exit signal is not taken for one who waits",
          "[core][caller_edge]") {
  using Wait = void (*)(Ints&);
  constexpr Wait waits[] = {
      [](Ints& b) { b.call([] {}); }, [](Ints& b) { b.call_for(1min, [] {}); },
      [](Ints& b) { b.call<int>([](int&, Reply<int>) {}); }, [](Ints& b) { b.cast([] {}); }};
  const std::size_t kind = GENERATE(0U, 1U, 2U, 3U);
  const bool is_killed = GENERATE(false, true);
  CAPTURE(kind, is_killed);
  const ReportLog log;
  Ints leaving{{.name = "leaving"}, 0};
  Ints b{{.name = "b", .mailbox_capacity = 1}, 0};
  Gate is_in;
  Gate go_on;
  bool is_gone = false;
  b.cast([&] {
    is_in.open();
    go_on.wait();
    leaving.ref().exit(is_killed ? ExitReason::killed() : ExitReason::shutdown());
    try {
      leaving.call([] {});
    } catch (const ServerGone&) {
      is_gone = true;
    }
  });
  is_in.wait();
  b.cast([] {});  // there is no room any more
  leaving.cast([&] { waits[kind](b); });
  REQUIRE(eventually([&] {
    const Snapshot all = snapshot();
    return all.servers[all.find(leaving.pid()).value()].waits_for.has_value();
  }));

  go_on.open();
  leaving.ref().wait();
  b.stop();

  CHECK(is_gone);
  CHECK(log.count(Report::Kind::deadlock) == 0);
}

TEST_CASE("with on_deadlock ignore nothing is reported", "[core][caller_edge]") {
  const ReportLog log;
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b", .on_deadlock = OnDeadlock::ignore}, 0};

  CHECK_THROWS_AS(
      a.call([&](int&) { b.call([&](int&) { a.call_for(20ms, [](int& n) { return n; }); }); }),
      CallTimeout);

  CHECK(log.count(Report::Kind::deadlock) == 0);
}

TEST_CASE("of servers that close a ring at the same moment exactly one is the victim",
          "[core][caller_edge]") {
  const ReportLog log;
  const auto size = GENERATE(2, 3, 5);

  for (int round = 0; round < 5; ++round) CHECK(victims_of_ring(size) == 1);
}

TEST_CASE("rings are broken exactly once, again and again", "[core][caller_edge][.stress]") {
  const ReportLog log;

  for (int round = 0; round < 50; ++round) {  // each with two reports, whose stacks take long
    REQUIRE(victims_of_ring(2) == 1);
    REQUIRE(victims_of_ring(4) == 1);
  }
}

TEST_CASE("a server that has just been answered is never taken for a waiting one",
          "[core][caller_edge][.stress]") {
  const ReportLog log;
  Ints a{{.name = "a"}, 0};
  Ints b{{.name = "b"}, 0};
  std::atomic<int> alarms{0};
  const auto call_back = [&](int&) {
    self<int>().continue_with([&](int&) {
      try {
        a.call([](int& n) { ++n; });  // a may not even have woken from its own call to b
      } catch (const Deadlock&) {
        ++alarms;
      }
    });
  };

  const auto wait_for_b = [&] { b.call([](int&) {}); };

  for (int i = 0; i < 10000; ++i) {
    a.call([&](int&) { b.call(call_back); });
    wait_for_b();
    a.call([&](int&) { b.async_call(call_back).get(); });
    wait_for_b();
    a.call([&](int&) { b.call_for(1h, call_back); });
    wait_for_b();
  }

  CHECK(alarms == 0);
  CHECK(a.call([](int& n) { return n; }) == 30000);
}
