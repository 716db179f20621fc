// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using genserver::ExitReason;
using genserver::GenServer;
using genserver::InvalidArgument;
using genserver::Options;
using genserver::Report;
using genserver::SelfWait;
using genserver::ServerRef;

namespace {

using namespace std::chrono_literals;

// The client functions of a server, as a user writes them.
class Counter : public GenServer<int> {
 public:
  explicit Counter(int start = 0) : GenServer({.name = "counter"}, start) {}
  int increment() {
    return call([](int& n) { return ++n; });
  }
  void reset() {
    cast([](int& n) { n = 0; });
  }
};

// An owner is neither copied nor moved, nor assigned to.
static_assert(!std::is_copy_constructible_v<GenServer<int>>);
static_assert(!std::is_constructible_v<GenServer<int>, GenServer<int>&>);
static_assert(!std::is_move_constructible_v<GenServer<int>>);
static_assert(!std::is_copy_assignable_v<GenServer<int>>);
static_assert(!std::is_move_assignable_v<GenServer<int>>);
static_assert(!std::is_copy_constructible_v<Counter>);
static_assert(!std::is_constructible_v<Counter, Counter&>);
static_assert(!std::is_move_constructible_v<Counter>);
static_assert(!std::is_copy_assignable_v<Counter>);
static_assert(!std::is_move_assignable_v<Counter>);

}  // namespace

TEST_CASE("a subclass offers client functions over the state", "[core][gen_server]") {
  Counter counter{40};

  counter.increment();
  const int after_two = counter.increment();
  counter.reset();
  const int after_reset = counter.increment();

  CHECK(after_two == 42);
  CHECK(after_reset == 1);
}

TEST_CASE("State makes itself if nothing follows the options", "[core][gen_server]") {
  struct Ledger {
    int balance = 7;
  };
  struct Account : GenServer<Ledger> {
    Account() : GenServer({}) {}
    int balance() {
      return call([](Ledger& ledger) { return ledger.balance; });
    }
  };
  Account derived;
  GenServer<Ledger> plain({});
  GenServer<Ledger> braced{{}};

  CHECK(derived.balance() == 7);
  CHECK(plain.call([](Ledger& ledger) { return ledger.balance; }) == 7);
  CHECK(braced.call([](Ledger& ledger) { return ledger.balance; }) == 7);
}

TEST_CASE("concurrent puts and gets need no lock in the state", "[core][gen_server]") {
  GenServer<std::vector<int>> store{{}, std::vector<int>(40)};
  std::atomic<int> right{0};
  std::vector<std::thread> clients;

  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&store, &right, client] {
      for (int n = 0; n < 10; ++n) {
        const auto key = static_cast<std::size_t>(client * 10 + n);
        store.cast([key](std::vector<int>& values) { values.at(key) = static_cast<int>(key); });
        const int value = store.call([key](std::vector<int>& values) { return values.at(key); });
        if (value == static_cast<int>(key)) ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();

  CHECK(right == 40);
}

TEST_CASE("stop returns when all that was sent before is handled, in order", "[core][gen_server]") {
  std::vector<int> handled;
  GenServer<int> server{{}, 0};
  Hold hold{server};
  for (int n = 0; n < 100; ++n) server.cast([&handled, n] { handled.push_back(n); });
  hold.let_go();

  server.stop();

  REQUIRE(handled.size() == 100);
  for (int n = 0; n < 100; ++n) CHECK(handled[static_cast<std::size_t>(n)] == n);
  CHECK_FALSE(server.cast([] {}));
  CHECK_THROWS_AS(server.call([] {}), genserver::ServerGone);
}

TEST_CASE("the destructor lets what was sent before be handled", "[core][gen_server]") {
  int handled = 0;

  {
    GenServer<int> server{{}, 0};
    for (int n = 0; n < 100; ++n) server.cast([&handled] { ++handled; });
  }

  CHECK(handled == 100);
}

TEST_CASE("an owner may stop a server that has ended", "[core][gen_server]") {
  GenServer<int> server{{}, 0};

  server.stop(ExitReason::shutdown("first"));
  server.stop(ExitReason::shutdown("second"));

  CHECK(server.stop_for(0ms));
  CHECK(server.exit_reason() == ExitReason::shutdown("first"));
  CHECK_FALSE(server.is_alive());
}

TEST_CASE("a derived destructor may begin with stop", "[core][gen_server]") {
  struct Polite : GenServer<int> {
    explicit Polite(int& seen_by_user) : GenServer({}, 0), seen{seen_by_user} {}
    ~Polite() override {
      stop();
      seen = count;
    }
    void add() {
      cast([this] { ++count; });  // uses `this`
    }
    int count = 0;
    int& seen;
  };
  int seen = 0;

  {
    Polite server{seen};
    for (int n = 0; n < 100; ++n) server.add();
  }

  CHECK(seen == 100);
}

TEST_CASE("any number of threads may stop a server at once", "[core][gen_server]") {
  GenServer<int> server{{}, 0};
  Hold hold{server};
  std::atomic<int> returned{0};
  std::vector<std::thread> stoppers;
  for (int n = 0; n < 4; ++n) {
    stoppers.emplace_back([&] {
      server.stop();
      ++returned;
    });
  }

  CHECK(server.is_alive());
  CHECK(returned == 0);
  hold.let_go();
  for (std::thread& stopper : stoppers) stopper.join();

  CHECK(returned == 4);
  CHECK_FALSE(server.is_alive());
}

TEST_CASE("stop from the own handler is refused, and the server survives", "[core][gen_server]") {
  GenServer<int> server{{.name = "selfish"}, 7};

  const auto stopping = thrown<SelfWait>([&] { server.call([&] { server.stop(); }); });
  const auto timed = thrown<SelfWait>([&] { server.call([&] { server.stop_for(1h); }); });
  const auto by_ref = thrown<SelfWait>([&] { server.call([&] { server.ref().stop(); }); });

  REQUIRE(stopping.has_value());
  CHECK(has(stopping->what(), "selfish"));
  CHECK(has(stopping->what(), "gen_server.cpp"));
  CHECK(timed.has_value());
  CHECK(by_ref.has_value());
  CHECK(server.call([](int& n) { return n; }) == 7);
}

TEST_CASE("a server may ask for its own end, and handles what was sent before",
          "[core][gen_server]") {
  int handled = 0;
  GenServer<int> server{{}, 0};
  Hold hold{server};
  server.cast([&] { server.request_stop(ExitReason::shutdown("enough")); });
  server.cast([&] { ++handled; });

  hold.let_go();

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(handled == 1);
  CHECK(server.exit_reason() == ExitReason::shutdown("enough"));
}

TEST_CASE("stop_for gives up on a busy server, which stops later all the same",
          "[core][gen_server]") {
  GenServer<int> server{{}, 0};
  Hold hold{server};
  const auto before = std::chrono::steady_clock::now();

  const bool ended = server.stop_for(20ms);
  const auto waited = std::chrono::steady_clock::now() - before;
  const bool was_alive = server.is_alive();
  hold.let_go();

  CHECK_FALSE(ended);
  CHECK(waited >= 20ms);
  CHECK(was_alive);
  CHECK(eventually([&] { return !server.is_alive(); }));
}

TEST_CASE("stop_for refuses a negative time and leaves the server alone", "[core][gen_server]") {
  GenServer<int> server{{}, 3};

  const auto error = thrown<InvalidArgument>([&] { server.stop_for(-1ms); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "gen_server.cpp"));
  CHECK(server.call([](int& n) { return n; }) == 3);
}

TEST_CASE("only the first request to stop gives the reason", "[core][gen_server]") {
  GenServer<int> server{{}, 0};
  Hold hold{server};

  server.request_stop(ExitReason::shutdown("first"));
  server.request_stop(ExitReason::shutdown("second"));
  hold.let_go();
  server.stop(ExitReason::shutdown("third"));

  CHECK(server.exit_reason() == ExitReason::shutdown("first"));
}

TEST_CASE("a mailbox of no or too many places is refused before State is made",
          "[core][gen_server]") {
  struct State {
    explicit State(bool& was_made) { was_made = true; }
  };
  const std::size_t capacity = GENERATE(std::size_t{0}, std::size_t{32768});
  bool is_made = false;

  const auto error = thrown<InvalidArgument>([&] {
    const GenServer<State> server{{.name = "big", .mailbox_capacity = capacity}, is_made};
  });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "big"));
  CHECK(has(error->what(), std::to_string(capacity)));
  CHECK_FALSE(is_made);
}

TEST_CASE("the smallest and the largest mailbox work", "[core][gen_server]") {
  const std::size_t capacity = GENERATE(std::size_t{1}, std::size_t{32767});
  GenServer<int> server{{.mailbox_capacity = capacity}, 0};

  for (int n = 0; n < 1000; ++n) server.cast([](int& sum) { ++sum; });

  CHECK(server.call([](int& sum) { return sum; }) == 1000);
}

TEST_CASE("a negative watchdog period is refused", "[core][gen_server]") {
  const auto start = [] { const GenServer<int> server{{.stuck_after = -1s}, 0}; };

  CHECK_THROWS_AS(start(), InvalidArgument);
}

TEST_CASE("a server without a name is called as its State", "[core][gen_server]") {
  const GenServer<std::vector<int>> unnamed{{}};
  const GenServer<int> named{{.name = "accounts"}, 0};

  CHECK(has(unnamed.name(), "vector<int"));
  CHECK(named.name() == "accounts");
}

TEST_CASE("no two servers have the same pid, also one after the other", "[core][gen_server]") {
  std::optional<genserver::Pid> first;
  {
    const GenServer<int> server{{}, 0};
    first = server.pid();
  }
  const GenServer<int> second{{}, 0};
  const GenServer<int> third{{}, 0};

  CHECK(second.pid() != *first);
  CHECK(third.pid() != *first);
  CHECK(second.pid() != third.pid());
}

TEST_CASE("what the constructor of State throws arrives as it is, after the thread has gone",
          "[core][gen_server]") {
  struct Refused {
    int code;
  };
  struct AtThreadExit {
    ~AtThreadExit() { flag->store(true); }
    std::atomic<bool>* flag;
  };
  struct State {
    explicit State(std::atomic<bool>& flag) {
      thread_local const AtThreadExit at_exit{&flag};
      throw Refused{static_cast<int>(at_exit.flag == &flag) + 6};
    }
  };
  const ReportLog reports;
  std::atomic<bool> has_gone{false};

  const auto error = thrown<Refused>([&] { const GenServer<State> server{{}, has_gone}; });

  REQUIRE(error.has_value());
  CHECK(error->code == 7);
  CHECK(has_gone);
  CHECK(reports.count(Report::Kind::crash) == 0);
}

TEST_CASE("an Exit from the constructor of State arrives as Exit", "[core][gen_server]") {
  struct State {
    State() { throw genserver::Exit{ExitReason::shutdown("no licence")}; }
  };

  const auto exit = thrown<genserver::Exit>([] { const GenServer<State> server{}; });

  REQUIRE(exit.has_value());
  CHECK(exit->reason == ExitReason::shutdown("no licence"));
}

TEST_CASE("what State sent to itself before its constructor threw is given up",
          "[core][gen_server]") {
  struct State {
    explicit State(const std::shared_ptr<int>& token) {
      const auto own = genserver::self<State>();
      own.cast([token] { ++*token; });
      own.continue_with([token] { ++*token; });
      own.cast_after(0ms, [token] { ++*token; });
      throw std::runtime_error{"refused"};
    }
  };
  const auto token = std::make_shared<int>(0);

  CHECK_THROWS_AS(GenServer<State>({}, token), std::runtime_error);

  CHECK(*token == 0);
  CHECK(token.use_count() == 1);
}

TEST_CASE("start makes an object whose handlers may use this", "[core][gen_server]") {
  struct Greeter : GenServer<int> {
    explicit Greeter(std::vector<std::string>& list) : GenServer({}, 0), log{list} {}
    void greet() {
      cast([this] { log.push_back(greeting); });
    }
    std::string greeting = "a greeting that is too long to be kept inside of the string";
    std::vector<std::string>& log;
  };
  std::vector<std::string> log;

  {
    const auto greeter = genserver::start<Greeter>(log);
    for (int n = 0; n < 100; ++n) greeter->greet();
  }

  REQUIRE(log.size() == 100);
  CHECK(log.back() == "a greeting that is too long to be kept inside of the string");
}

TEST_CASE("the last owner of a started object may go in its own handler", "[core][gen_server]") {
  struct Session : GenServer<int> {
    explicit Session(Gate& gate) : GenServer({}, 0), gone{gate} {}
    ~Session() override { gone.open(); }
    Gate& gone;
    int used = 0;
  };
  Gate gone;
  std::atomic<int> used_after_drop{-1};
  auto session = genserver::start<Session>(gone);
  const ServerRef<int> ref = session->ref();
  {
    const Hold hold{*session};
    Session* const raw = session.get();
    ref.cast([owner = std::move(session)]() mutable { owner.reset(); });
    ref.cast([raw, &used_after_drop] { used_after_drop = ++raw->used; });
  }
  gone.wait();

  CHECK(used_after_drop == 1);
  CHECK_FALSE(ref.is_alive());
  CHECK(ref.exit_reason() == ExitReason::normal());
}

TEST_CASE("a call may drop the very owner through which it was made", "[core][gen_server]") {
  for (int round = 0; round < 200; ++round) {
    auto owner = genserver::start<GenServer<int>>(genserver::Options{.name = "owned"}, round);

    const int answer = owner->call([&](int& n) {
      owner.reset();
      return n;
    });

    CHECK(answer == round);
  }
}

TEST_CASE("an object that stops itself in its destructor may go in its own handler",
          "[core][gen_server]") {
  struct Polite : GenServer<int> {
    explicit Polite(Gate& gate) : GenServer({}, 0), gone{gate} {}
    ~Polite() override {
      stop();
      gone.open();
    }
    Gate& gone;
  };
  Gate gone;
  auto polite = genserver::start<Polite>(gone);
  const ServerRef<int> ref = polite->ref();

  ref.cast([owner = std::move(polite)]() mutable { owner.reset(); });
  gone.wait();

  CHECK_FALSE(ref.is_alive());
}

TEST_CASE("a started object whose constructor throws has ended its server", "[core][gen_server]") {
  struct Broken : GenServer<int> {
    explicit Broken(std::optional<ServerRef<int>>& out) : GenServer({}, 0) {
      out = ref();
      throw std::runtime_error{"broken"};
    }
  };
  std::optional<ServerRef<int>> ref;

  CHECK_THROWS_AS(genserver::start<Broken>(ref), std::runtime_error);

  CHECK_FALSE(ref.value().is_alive());
}

TEST_CASE("a unique owner may go in the handler of its own server", "[core][gen_server]") {
  std::atomic<int> handled{0};
  auto owner = std::make_unique<GenServer<int>>(Options{}, 0);
  const ServerRef<int> ref = owner->ref();
  {
    const Hold hold{ref};
    ref.cast([own = std::move(owner)]() mutable { own.reset(); });
    ref.cast([&] { ++handled; });
  }

  CHECK(eventually([&] { return !ref.is_alive(); }));
  CHECK(handled == 1);
  CHECK(ref.exit_reason() == ExitReason::normal());
}

TEST_CASE("a shared owner may go with the closure of a message", "[core][gen_server]") {
  auto owner = std::make_shared<GenServer<int>>(Options{}, 0);
  const ServerRef<int> ref = owner->ref();

  ref.cast([own = std::move(owner)] {});

  CHECK(eventually([&] { return !ref.is_alive(); }));
}

TEST_CASE("an owner may go where waiting for its server would be a deadlock",
          "[core][gen_server]") {
  const ReportLog reports;
  auto first = std::make_unique<GenServer<int>>(Options{.name = "first"}, 0);
  const ServerRef<int> ref = first->ref();
  GenServer<int> second{{.name = "second"}, 0};

  const int answer = ref.call([&second, owner = std::move(first)](int&) mutable {
    second.call([&] { owner.reset(); });  // the second cannot wait for the first, which waits
    return 5;
  });

  CHECK(answer == 5);
  CHECK(eventually([&] { return !ref.is_alive(); }));
  CHECK(second.is_alive());
  CHECK(reports.count(Report::Kind::deadlock) == 1);
}

TEST_CASE("two servers that call each other are told so, and live on", "[core][gen_server]") {
  const ReportLog reports;
  GenServer<int> connection{{.name = "Connection"}, 1};
  GenServer<int> peer{{.name = "Peer"}, 2};
  const auto circle = [&] { connection.call([&] { peer.call([&] { connection.call([] {}); }); }); };

  const auto error = thrown<genserver::Deadlock>(circle);

  REQUIRE(error.has_value());
  CHECK(error->cycle().size() == 2);
  CHECK(has(error->what(), "Connection"));
  CHECK(has(error->what(), "Peer"));
  CHECK(has(error->what(), "gen_server.cpp"));
  CHECK(reports.count(Report::Kind::deadlock) == 1);
  CHECK(connection.call([](int& n) { return n; }) == 1);
  CHECK(peer.call([](int& n) { return n; }) == 2);
}

TEST_CASE("self is the server whose handler runs", "[core][gen_server]") {
  GenServer<int> server{{}, 0};
  GenServer<std::string> other{{}};

  const auto own = server.call([] { return genserver::self<int>(); });
  const auto nested = server.call([&] {
    const auto inner = other.call([] { return genserver::self<std::string>(); });
    return inner == other.ref() && genserver::self<int>() == server.ref();
  });

  CHECK(own == server.ref());
  CHECK(nested);
}

TEST_CASE("outside of a handler there is no self", "[core][gen_server]") {
  const auto error = thrown<SelfWait>([] { static_cast<void>(genserver::self<int>()); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "gen_server.cpp"));
}

TEST_CASE("a reference that forgot State finds it again", "[core][gen_server]") {
  GenServer<int> server{{}, 7};
  const genserver::AnyRef any = server;

  const genserver::ServerRef<int> found = genserver::ref_cast<int>(any);
  REQUIRE(found);
  CHECK(found == server);
  CHECK(found.call([](int& n) { return n; }) == 7);
  CHECK_FALSE(genserver::ref_cast<long>(any));
  CHECK_FALSE(genserver::ref_cast<int>(genserver::AnyRef{}));
}

TEST_CASE("self with another State is refused", "[core][gen_server]") {
  GenServer<int> server{{.name = "ints"}, 0};
  const auto ask = [] { static_cast<void>(genserver::self<long>()); };

  const auto error = thrown<SelfWait>([&] { server.call(ask); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "ints"));
  CHECK(server.is_alive());
}

TEST_CASE("State knows itself in its constructor, terminate and destructor", "[core][gen_server]") {
  struct State {
    explicit State(std::vector<genserver::Pid>& seen_pids) : pids{seen_pids} { note(); }
    ~State() { note(); }
    void terminate(const ExitReason&) { note(); }
    void note() { pids.push_back(genserver::self<State>().pid()); }
    std::vector<genserver::Pid>& pids;
  };
  std::vector<genserver::Pid> pids;
  GenServer<State> server{{}, pids};

  server.stop();

  CHECK(pids == std::vector<genserver::Pid>(3, server.pid()));
}

TEST_CASE("a handler runs on one thread, which is not that of its caller", "[core][gen_server]") {
  GenServer<int> server{{}, 0};

  const auto first = server.call([] { return std::this_thread::get_id(); });
  const auto second = server.call([] { return std::this_thread::get_id(); });

  CHECK(first == second);
  CHECK(first != std::this_thread::get_id());
}

TEST_CASE("an idle server can lend its handlers to the caller", "[core][gen_server]") {
  GenServer<int> server{{.run_calls = genserver::RunCalls::on_caller_when_idle}, 0};
  const auto where = [&] { return server.call([] { return std::this_thread::get_id(); }); };

  CHECK(eventually([&] { return where() == std::this_thread::get_id(); }));
  std::atomic<bool> elsewhere{false};
  std::thread other{[&] {
    Hold hold{server};
    auto queued = server.async_call([] { return std::this_thread::get_id(); });
    hold.let_go();
    elsewhere = queued.get() != std::this_thread::get_id();
  }};
  other.join();

  CHECK(elsewhere);
}
