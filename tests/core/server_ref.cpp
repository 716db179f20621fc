// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/server_ref.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/thrown.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

using genserver::CallPhase;
using genserver::CallTimeout;
using genserver::Future;
using genserver::GenServer;
using genserver::InvalidArgument;
using genserver::MailboxFull;
using genserver::OnFull;
using genserver::Reply;
using genserver::SelfWait;
using genserver::ServerGone;
using genserver::ServerRef;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Numbers = std::vector<int>;

// Keeps reports that a test brings about from stderr as long as it lives.
struct Quiet {
  Quiet() {
    genserver::set_report_sink([](const genserver::Report&) {});
  }
  ~Quiet() { genserver::set_report_sink({}); }
};

int plain_function(int& n) { return n; }

const auto value = [](int& n) { return n; };

const auto copy = [](Numbers& numbers) { return numbers; };

auto append(int n) {
  return [n](Numbers& numbers) { numbers.push_back(n); };
}

// How deep a server can call itself before it is refused.
int depth_of_nesting(const ServerRef<int>& server, int depth) {
  try {
    return server.call([&] { return depth_of_nesting(server, depth + 1); });
  } catch (const SelfWait&) {
    return depth;
  }
}

}  // namespace

// --- call

TEST_CASE("a call returns what the handler returns", "[core][server_ref]") {
  GenServer<int> server{{}, 20};

  CHECK(server.call([](int& n) { return n += 1; }) == 21);
  CHECK(server.call([] { return std::string{"no state needed"}; }) == "no state needed");
  CHECK(*server.call([] { return std::make_unique<int>(5); }) == 5);
  CHECK(server.call(plain_function) == 21);
  CHECK(server.call(&plain_function) == 21);
  CHECK(server.call(std::function<int(int&)>{plain_function}) == 21);
}

TEST_CASE("a call with a member function asks the state", "[core][server_ref]") {
  struct Account {
    int balance() const { return cents; }
    int cents = 99;
  };
  GenServer<Account> server{{}};

  CHECK(server.call(&Account::balance) == 99);
  CHECK(server.call_for(1h, &Account::balance) == 99);
}

TEST_CASE("a call may use the local variables of its caller", "[core][server_ref]") {
  GenServer<int> server{{}, 3};
  int seen = 0;

  server.call([&seen](int& n) { seen = n; });

  CHECK(seen == 3);
}

TEST_CASE("a handler that is an lvalue is used where it is", "[core][server_ref]") {
  GenServer<int> server{{}, 3};
  auto counting = [times = 0]() mutable { return ++times; };

  server.call(counting);
  server.call(counting);

  CHECK(counting() == 3);
}

TEST_CASE("the exception of a call reaches its caller, and the server goes on",
          "[core][server_ref]") {
  GenServer<int> server{{}, 1};
  Hold hold{server};
  auto first = server.async_call([](int&) -> int { throw std::out_of_range{"no such key"}; });
  auto second = server.async_call([](int& n) { return ++n; });
  auto third = server.async_call([](int& n) { return ++n; });
  hold.let_go();

  const auto error = thrown<std::out_of_range>([&] { first.get(); });

  REQUIRE(error.has_value());
  CHECK(std::string{error->what()} == "no such key");
  CHECK(second.get() == 2);
  CHECK(third.get() == 3);
  CHECK_THROWS_AS(server.call([] { throw 42; }), int);
  CHECK_THROWS_AS(server.call_for(1h, [] { throw 42; }), int);
  CHECK(server.call(value) == 3);
}

TEST_CASE("what one thread sends is handled in the order in which it was sent",
          "[core][server_ref]") {
  const auto policy =
      GENERATE(OnFull::block, OnFull::fail, OnFull::drop_newest, OnFull::drop_oldest);
  const auto run_calls =
      GENERATE(genserver::RunCalls::on_server_thread, genserver::RunCalls::on_caller_when_idle);
  GenServer<Numbers> server{{.on_full = policy, .run_calls = run_calls}};
  Numbers expected;

  for (int n = 0; n < 120; n += 6) {
    server.cast(append(n));
    auto future = server.async_call(append(n + 1));
    server.call(append(n + 2));
    server.try_cast(append(n + 3));
    server.call_for(1h, append(n + 4));
    server.cast_for(1h, append(n + 5));
    for (int k = 0; k < 6; ++k) expected.push_back(n + k);
  }

  CHECK(server.call(copy) == expected);
}

TEST_CASE("every sender keeps its own order among many", "[core][server_ref]") {
  GenServer<std::map<int, Numbers>> server{{.mailbox_capacity = 3}};
  std::vector<std::thread> senders;

  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([&server, sender] {
      for (int n = 0; n < 200; ++n) {
        server.cast([sender, n](std::map<int, Numbers>& all) { all[sender].push_back(n); });
      }
    });
  }
  for (std::thread& sender : senders) sender.join();
  const auto all = server.call([](std::map<int, Numbers>& numbers) { return numbers; });

  REQUIRE(all.size() == 4);
  for (const auto& [sender, numbers] : all) {
    REQUIRE(numbers.size() == 200);
    CHECK(std::is_sorted(numbers.begin(), numbers.end()));
  }
}

// --- timed calls

TEST_CASE("a timed call that is still queued is taken back and never runs", "[core][server_ref]") {
  GenServer<int> server{{.name = "slow"}, 0};
  Hold hold{server};
  const auto before = Clock::now();

  const auto error = thrown<CallTimeout>([&] { server.call_for(20ms, [](int& n) { n = 1; }); });
  const auto waited = Clock::now() - before;
  hold.let_go();

  REQUIRE(error.has_value());
  CHECK(error->phase() == CallPhase::queued);
  CHECK(waited >= 20ms);
  CHECK(has(error->what(), "slow"));
  CHECK(has(error->what(), "server_ref.cpp"));
  CHECK(has(error->what(), "queued and will never run"));
  CHECK(server.call(value) == 0);
}

TEST_CASE("a timed call that runs is abandoned, and its result reaches nobody",
          "[core][server_ref]") {
  Gate gate;
  GenServer<int> server{{}, 0};
  const auto slow = [&gate](int& n) {
    gate.wait();
    return ++n;
  };

  // A try that is taken back while it is queued does not run, so that it may be repeated.
  const bool was_running = eventually([&] {
    const auto error = thrown<CallTimeout>([&] { server.call_for(20ms, slow); });
    return error && error->phase() == CallPhase::running && has(error->what(), "running");
  });
  gate.open();

  CHECK(was_running);
  CHECK(server.is_alive());
  CHECK(server.call([](int& n) { return n + 10; }) == 11);
}

TEST_CASE("a timed call that waits for room is not sent", "[core][server_ref]") {
  GenServer<int> server{{.mailbox_capacity = 1}, 0};
  Hold hold{server};
  server.cast([] {});
  const auto before = Clock::now();

  const auto error = thrown<CallTimeout>([&] { server.call_for(20ms, [](int& n) { n = 1; }); });
  const auto waited = Clock::now() - before;
  hold.let_go();

  REQUIRE(error.has_value());
  CHECK(error->phase() == CallPhase::not_sent);
  CHECK(waited >= 20ms);
  CHECK(has(error->what(), "not sent and will never run"));
  CHECK(server.call(value) == 0);
}

TEST_CASE("a timed call that is parked tells its label and its rounds", "[core][server_ref]") {
  GenServer<std::vector<Reply<int>>> server{{}};
  std::optional<CallTimeout> error;
  const auto park = [](std::vector<Reply<int>>& kept, Reply<int> reply) {
    reply.set_label("waits for a table");
    kept.push_back(std::move(reply));
  };

  do error = thrown<CallTimeout>([&] { server.call_for<int>(20ms, park); });
  while (error && error->phase() == CallPhase::queued);  // taken back, so it may be repeated

  REQUIRE(error.has_value());
  CHECK(error->phase() == CallPhase::parked);
  CHECK(has(error->what(), "waits for a table"));
  CHECK(has(error->what(), "parked 1 time"));
}

TEST_CASE("a timeout of zero does not wait", "[core][server_ref]") {
  GenServer<int> server{{}, 0};
  Hold hold{server};

  const auto error = thrown<CallTimeout>([&] { server.call_for(0s, [](int& n) { n = 1; }); });
  hold.let_go();

  REQUIRE(error.has_value());
  CHECK(error->phase() == CallPhase::queued);
  CHECK(server.call(value) == 0);
}

TEST_CASE("a deadline in the past does not wait", "[core][server_ref]") {
  GenServer<int> server{{}, 0};
  Hold hold{server};

  const auto error = thrown<CallTimeout>([&] { server.call_until(Clock::time_point{}, value); });
  hold.let_go();

  REQUIRE(error.has_value());
  CHECK(error->phase() == CallPhase::queued);
}

TEST_CASE("a timed call that is answered in time returns", "[core][server_ref]") {
  GenServer<int> server{{}, 4};

  CHECK(server.call_for(1h, value) == 4);
  CHECK(server.call_for(std::chrono::hours::max(), value) == 4);
  CHECK(server.call_until(Clock::now() + 1h, value) == 4);
  CHECK(server.call_until(Clock::time_point::max(), value) == 4);
  CHECK(*server.call_for(
            1h, [p = std::make_unique<int>(9)] { return std::make_unique<int>(*p); }) == 9);
}

// --- call_when

TEST_CASE("call_when waits until its guard holds, and runs its handler once",
          "[core][server_ref]") {
  GenServer<int> server{{}, 0};
  std::atomic<int> runs{0};
  std::thread waiting{
      [&] { server.call_when([](const int& n) { return n >= 3; }, [&] { ++runs; }); }};

  server.call([](int& n) { n = 2; });
  const int too_early = runs;
  server.call([](int& n) { n = 3; });
  waiting.join();
  server.call([](int& n) { n = 4; });

  CHECK(too_early == 0);
  CHECK(runs == 1);
}

TEST_CASE("call_when runs at once if its guard holds", "[core][server_ref]") {
  GenServer<int> server{{}, 6};

  CHECK(server.call_when([](const int& n) { return n > 5; }, value) == 6);
}

TEST_CASE("whoever has waited longest for a guard goes first", "[core][server_ref]") {
  GenServer<Numbers> server{{}};
  std::vector<std::thread> waiting;
  for (int number = 1; number <= 3; ++number) {
    std::atomic<bool> is_queued{false};
    waiting.emplace_back([&server, &is_queued, number] {
      server.call_when(
          [&is_queued, first = true](const Numbers& n) mutable {
            if (std::exchange(first, false)) is_queued = true;
            return !n.empty();
          },
          append(number));
    });
    CHECK(eventually([&] { return is_queued.load(); }));
  }

  server.call(append(0));
  for (std::thread& thread : waiting) thread.join();

  CHECK(server.call(copy) == Numbers{0, 1, 2, 3});
}

TEST_CASE("what a guard throws reaches the caller", "[core][server_ref]") {
  GenServer<int> server{{}, 0};
  const auto guard = [](const int& n) -> bool { throw std::logic_error{std::to_string(n)}; };

  CHECK_THROWS_AS(server.call_when(guard, value), std::logic_error);

  CHECK(server.is_alive());
}

TEST_CASE("a server does not wait for its own guard", "[core][server_ref]") {
  GenServer<int> server{{}, 1};
  const auto holds = [](const int& n) { return n == 1; };
  const auto fails = [](const int& n) { return n == 2; };

  CHECK(server.call([&] { return server.call_when(holds, value); }) == 1);
  CHECK_THROWS_AS(server.call([&] { return server.call_when(fails, value); }), SelfWait);
}

// --- cast and send

TEST_CASE("a call after a cast by the same thread sees the effect of the cast",
          "[core][server_ref]") {
  GenServer<std::vector<std::string>> server{{}};

  server.cast([](std::vector<std::string>& stack) { stack.emplace_back("pushed"); });
  const auto popped = server.call([](std::vector<std::string>& stack) { return stack.back(); });

  CHECK(popped == "pushed");
}

TEST_CASE("a cast does not wait for its handler", "[core][server_ref]") {
  Gate gate;
  GenServer<int> server{{}, 0};

  const bool is_sent = server.cast([&](int& n) {
    gate.wait();
    n = 1;
  });
  gate.open();

  CHECK(is_sent);
  CHECK(server.call(value) == 1);
}

TEST_CASE("a full mailbox that fails or drops the newest refuses what comes",
          "[core][server_ref]") {
  const auto policy = GENERATE(OnFull::fail, OnFull::drop_newest);
  const Quiet quiet;
  GenServer<Numbers> server{{.mailbox_capacity = 1, .on_full = policy}};
  Hold hold{server};
  const bool first = server.cast(append(1));

  const bool second = server.cast(append(2));
  const bool timed = server.cast_for(1h, append(3));
  auto future = server.async_call(append(4));
  const auto error = thrown<MailboxFull>([&] { server.call_for(1h, append(5)); });
  hold.let_go();

  CHECK(first);
  CHECK_FALSE(second);
  CHECK_FALSE(timed);
  CHECK_THROWS_AS(future.get(), MailboxFull);
  REQUIRE(error.has_value());
  CHECK(has(error->what(), "server_ref.cpp"));
  CHECK(server.call(copy) == Numbers{1});
}

TEST_CASE("a full mailbox that drops the oldest tells the dropped caller", "[core][server_ref]") {
  const Quiet quiet;
  GenServer<Numbers> server{{.mailbox_capacity = 1, .on_full = OnFull::drop_oldest}};
  Hold hold{server};
  const auto token = std::make_shared<int>(0);
  auto dropped = server.async_call([token](Numbers& numbers) { numbers.push_back(++*token); });

  const bool is_sent = server.cast(append(2));
  const bool is_ready = dropped.is_ready();
  const bool is_sent_again = server.try_cast(append(3));
  hold.let_go();

  CHECK(is_sent);
  CHECK(is_ready);
  CHECK(is_sent_again);
  CHECK_THROWS_AS(dropped.get(), MailboxFull);
  CHECK(token.use_count() == 1);
  CHECK(server.call(copy) == Numbers{3});
}

TEST_CASE("a full mailbox that blocks lets senders wait for room", "[core][server_ref]") {
  GenServer<Numbers> server{{.mailbox_capacity = 1}};
  Hold hold{server};
  server.cast(append(1));
  const auto before = Clock::now();

  const bool at_once = server.try_cast(append(2));
  const bool in_time = server.cast_for(20ms, append(3));
  const auto waited = Clock::now() - before;
  std::thread sender{[&] { server.cast(append(4)); }};
  hold.let_go();
  sender.join();

  CHECK_FALSE(at_once);
  CHECK_FALSE(in_time);
  CHECK(waited >= 20ms);
  CHECK(server.call(copy) == Numbers{1, 4});
}

TEST_CASE("untimed calls need no room in the mailbox", "[core][server_ref]") {
  const auto policy =
      GENERATE(OnFull::block, OnFull::fail, OnFull::drop_newest, OnFull::drop_oldest);
  GenServer<Numbers> server{{.mailbox_capacity = 1, .on_full = policy}};
  std::atomic<int> done{0};
  Hold hold{server};
  server.cast(append(0));
  std::vector<std::thread> callers;
  for (int n = 1; n <= 4; ++n) {
    callers.emplace_back([&server, &done, n] {
      server.call(append(n));
      server.call<int>([](Numbers&, Reply<int> reply) { reply.reply(1); });
      ++done;
    });
  }
  hold.let_go();
  for (std::thread& caller : callers) caller.join();

  CHECK(done == 4);
  CHECK(server.call(copy).size() == 5);
}

TEST_CASE("what a server sends to itself needs no room, and stays in order", "[core][server_ref]") {
  const auto policy =
      GENERATE(OnFull::block, OnFull::fail, OnFull::drop_newest, OnFull::drop_oldest);
  GenServer<Numbers> server{{.mailbox_capacity = 1, .on_full = policy}};
  std::atomic<int> sent{0};

  server.call([&] {
    for (int n = 0; n < 50; ++n) sent += server.cast(append(n)) ? 1 : 0;
    sent += server.try_cast(append(50)) ? 1 : 0;
    static_cast<void>(server.async_call(append(51)));
  });
  const Numbers numbers = server.call(copy);

  CHECK(sent == 51);
  REQUIRE(numbers.size() == 52);
  CHECK(std::is_sorted(numbers.begin(), numbers.end()));
}

TEST_CASE("a sender that waits for room is released when the server ends", "[core][server_ref]") {
  const Quiet quiet;
  Gate gate;
  GenServer<int> server{{.mailbox_capacity = 1}, 0};
  server.cast([&] {
    gate.wait();
    throw std::runtime_error{"crashed"};
  });
  static_cast<void>(eventually([&] { return server.try_cast([] {}); }));
  std::atomic<bool> is_sent{true};
  std::atomic<bool> is_gone{false};
  std::thread sender{[&] { is_sent = server.cast([] {}); }};
  std::thread caller{
      [&] { is_gone = thrown<ServerGone>([&] { server.call_for(1h, [] {}); }).has_value(); }};

  gate.open();
  sender.join();
  caller.join();

  CHECK_FALSE(is_sent);
  CHECK(is_gone);
}

TEST_CASE("an ended server refuses everything, and nothing hangs", "[core][server_ref]") {
  GenServer<int> server{{.name = "ended"}, 0};
  const ServerRef<int> ref = server.ref();
  const auto token = std::make_shared<int>(0);
  server.stop(genserver::ExitReason::shutdown("upgrade"));

  const auto error = thrown<ServerGone>([&] { ref.call(value); });

  REQUIRE(error.has_value());
  CHECK(error->reason() == genserver::ExitReason::shutdown("upgrade"));
  CHECK(has(error->what(), "ended"));
  CHECK(has(error->what(), "server_ref.cpp"));
  CHECK_THROWS_AS(ref.call_for(1h, value), ServerGone);
  CHECK_THROWS_AS(ref.call_when([](const int&) { return true; }, value), ServerGone);
  CHECK_THROWS_AS(ref.call<int>([](int&, Reply<int>) {}), ServerGone);
  CHECK(ref.async_call([token] { ++*token; }).is_ready());
  CHECK_FALSE(ref.cast([token] { ++*token; }));
  CHECK_FALSE(ref.try_cast([token] { ++*token; }));
  CHECK_FALSE(ref.cast_for(1h, [token] { ++*token; }));
  CHECK_FALSE(ref.cast_after(0ms, [token] { ++*token; }).is_active());
  CHECK(*token == 0);
  CHECK(token.use_count() == 1);
}

// --- a server and itself

TEST_CASE("a call of a server to itself runs at once, inside its handler", "[core][server_ref]") {
  GenServer<Numbers> server{{}};

  server.call([&](Numbers& outer) {
    outer.push_back(1);
    server.call([&](Numbers& inner) {
      inner.push_back(2);
      server.call(append(3));
    });
    outer.push_back(4);
  });

  CHECK(server.call(copy) == Numbers{1, 2, 3, 4});
}

TEST_CASE("a deferred call of a server to itself has to answer at once", "[core][server_ref]") {
  GenServer<int> server{{}, 8};
  std::optional<Reply<int>> kept;
  const auto answers = [](int& n, Reply<int> reply) { reply.reply(n); };
  const auto keeps = [&](int&, Reply<int> reply) { kept = std::move(reply); };
  const auto throws = [](int&, Reply<int>) { throw std::logic_error{"mine"}; };

  CHECK(server.call([&] { return server.call<int>(answers); }) == 8);
  CHECK_THROWS_AS(server.call([&] { return server.call<int>(keeps); }), SelfWait);
  CHECK_THROWS_AS(server.call([&] { return server.call<int>(throws); }), std::logic_error);
  REQUIRE(kept.has_value());
  CHECK_FALSE(kept->reply(1));
  CHECK(server.call(value) == 8);
}

TEST_CASE("an exception of a self-call passes through the outer handler", "[core][server_ref]") {
  GenServer<int> server{{}, 0};

  const bool caught_inside = server.call([&] {
    return thrown<std::domain_error>([&] { server.call([] { throw std::domain_error{"inner"}; }); })
        .has_value();
  });
  const auto outer = [&] { server.call([] { throw std::domain_error{"inner"}; }); };

  CHECK(caught_inside);
  CHECK_THROWS_AS(server.call(outer), std::domain_error);
  CHECK(server.is_alive());
}

TEST_CASE("a self-call has no timeout", "[core][server_ref]") {
  GenServer<int> server{{}, 2};

  CHECK(server.call([&] { return server.call_for(0s, value); }) == 2);
  CHECK(server.call([&] { return server.call_until(Clock::time_point{}, value); }) == 2);
}

TEST_CASE("self-calls may be nested 64 deep and no deeper", "[core][server_ref]") {
  GenServer<int> server{{}, 0};

  const int deepest = server.call([&] { return depth_of_nesting(server, 0); });
  const int again = server.call([&] { return depth_of_nesting(server, 0); });

  CHECK(deepest == 64);
  CHECK(again == 64);
}

TEST_CASE("a thread that a handler starts is not the server", "[core][server_ref]") {
  GenServer<int> server{{}, 0};
  std::thread other;
  std::atomic<int> seen{0};

  server.call([&](int& n) {
    other = std::thread{[&] { seen = server.call(value); }};
    n = 5;
  });
  other.join();

  CHECK(seen == 5);
}

// --- continue_with

TEST_CASE("a continuation runs after its handler and before all that is queued",
          "[core][server_ref]") {
  GenServer<Numbers> server{{}};
  Hold hold{server};
  server.cast([&](Numbers& numbers) {
    server.cast(append(5));
    server.continue_with(append(2));
    server.continue_with([&](Numbers& later) {
      later.push_back(3);
      server.continue_with(append(4));
    });
    numbers.push_back(1);
  });
  server.cast(append(6));  // queued before 5

  hold.let_go();
  const auto is_complete = [](const Numbers& numbers) { return numbers.size() == 6; };

  CHECK(server.call_when(is_complete, copy) == Numbers{1, 2, 3, 4, 6, 5});
}

TEST_CASE("a continuation of the constructor of State runs before all messages",
          "[core][server_ref]") {
  struct State {
    State() {
      const auto own = genserver::self<State>();
      own.cast([](State& state) { state.numbers.push_back(2); });
      own.continue_with([](State& state) { state.numbers.push_back(1); });
    }
    Numbers numbers{};
  };
  GenServer<State> server{{}};

  CHECK(server.call([](State& state) { return state.numbers; }) == Numbers{1, 2});
}

TEST_CASE("only a server itself may continue", "[core][server_ref]") {
  GenServer<int> server{{}, 0};
  GenServer<int> other{{}, 0};

  const auto error = thrown<SelfWait>([&] { server.continue_with([] {}); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "server_ref.cpp"));
  CHECK_THROWS_AS(other.call([&] { server.continue_with([] {}); }), SelfWait);
}

TEST_CASE("State can call itself only between its constructor and its destructor",
          "[core][server_ref]") {
  struct State {
    explicit State(std::string& text) : log{text} {
      if (thrown<SelfWait>([] { call_self(); })) log += "not yet,";
    }
    ~State() {
      if (thrown<ServerGone>([] { call_self(); })) log += "no more";
    }
    void terminate(const genserver::ExitReason&) {
      call_self();
      const auto own = genserver::self<State>();
      if (!own.cast([] {})) log += "no casts,";
      if (thrown<ServerGone>([&] { own.continue_with([] {}); })) log += "no continuation,";
    }
    static void call_self() {
      genserver::self<State>().call([](State& state) { state.log += "now,"; });
    }
    std::string& log;
  };
  std::string log;

  GenServer<State>{{}, log}.stop();

  CHECK(log == "not yet,now,no casts,no continuation,no more");
}

// --- bad input

TEST_CASE("an empty function is refused by every entry and not sent", "[core][server_ref]") {
  GenServer<int> server{{}, 0};
  const std::function<void()> none;
  const std::function<void(int&, Reply<int>)> no_deferred;
  const std::function<bool(const int&)> no_guard;
  int (*const no_pointer)(int&) = nullptr;

  CHECK_THROWS_AS(server.call(none), InvalidArgument);
  CHECK_THROWS_AS(server.call(no_pointer), InvalidArgument);
  CHECK_THROWS_AS(server.call_for(1h, none), InvalidArgument);
  CHECK_THROWS_AS(server.call_until(Clock::now(), none), InvalidArgument);
  CHECK_THROWS_AS(server.call<int>(no_deferred), InvalidArgument);
  CHECK_THROWS_AS(server.call_when(no_guard, value), InvalidArgument);
  CHECK_THROWS_AS(server.call_when([](const int&) { return true; }, none), InvalidArgument);
  CHECK_THROWS_AS(server.async_call(none), InvalidArgument);
  CHECK_THROWS_AS(server.async_call<int>(no_deferred), InvalidArgument);
  CHECK_THROWS_AS(server.cast(none), InvalidArgument);
  CHECK_THROWS_AS(server.try_cast(none), InvalidArgument);
  CHECK_THROWS_AS(server.cast_for(1h, none), InvalidArgument);
  CHECK_THROWS_AS(server.cast_after(1h, none), InvalidArgument);
  CHECK_THROWS_AS(server.cast_every(1h, none), InvalidArgument);
  CHECK_THROWS_AS(server.call([&] { server.continue_with(none); }), InvalidArgument);
  CHECK(server.call(value) == 0);
}

TEST_CASE("the error about an empty function names the line", "[core][server_ref]") {
  GenServer<int> server{{}, 0};

  const auto error = thrown<InvalidArgument>([&] { server.cast(std::function<void()>{}); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "server_ref.cpp:" + std::to_string(__LINE__ - 3)));
}

TEST_CASE("a time that is negative or no number is refused", "[core][server_ref]") {
  GenServer<int> server{{}, 0};
  const std::chrono::duration<double> no_number{std::numeric_limits<double>::quiet_NaN()};

  const auto error = thrown<InvalidArgument>([&] { server.call_for(-1ms, value); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "server_ref.cpp"));
  CHECK_THROWS_AS(server.call_for(no_number, value), InvalidArgument);
  CHECK_THROWS_AS(server.cast_for(-1ns, value), InvalidArgument);
  CHECK_THROWS_AS(server.cast_after(-1ns, value), InvalidArgument);
  CHECK_THROWS_AS(server.cast_every(-1ns, value), InvalidArgument);
  CHECK_THROWS_AS(server.cast_every(0ns, value), InvalidArgument);
  CHECK(server.is_alive());
}

TEST_CASE("an empty reference names no server and says so", "[core][server_ref]") {
  const ServerRef<int> none;

  CHECK_FALSE(none);
  CHECK(none == ServerRef<int>{});
  CHECK_THROWS_AS(none.call(value), InvalidArgument);
  CHECK_THROWS_AS(none.call_for(1h, value), InvalidArgument);
  CHECK_THROWS_AS(none.call_when([](const int&) { return true; }, value), InvalidArgument);
  CHECK_THROWS_AS(none.call<int>([](int&, Reply<int>) {}), InvalidArgument);
  CHECK_THROWS_AS(none.async_call(value), InvalidArgument);
  CHECK_THROWS_AS(none.cast(value), InvalidArgument);
  CHECK_THROWS_AS(none.cast_after(1h, value), InvalidArgument);
  CHECK_THROWS_AS(none.continue_with(value), InvalidArgument);
}

TEST_CASE("a reference can be kept, compared and hashed, also after the end",
          "[core][server_ref]") {
  auto first = std::make_unique<GenServer<int>>(genserver::Options{}, 0);
  GenServer<int> second{{}, 0};
  const ServerRef<int> ref = first->ref();
  ServerRef<int> copied = second.ref();
  std::unordered_set<ServerRef<int>> all{ref, first->ref(), second.ref()};
  const genserver::Pid pid = first->pid();

  copied = ref;
  first.reset();

  CHECK(all.size() == 2);
  CHECK(all.count(copied) == 1);
  CHECK(copied == ref);
  CHECK(ref != second.ref());
  CHECK(ref < second.ref());
  CHECK(ref.pid() == pid);
  CHECK_FALSE(ref.is_alive());
}
