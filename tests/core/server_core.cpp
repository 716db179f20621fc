// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/server_core.hpp>

#include <genserver/core/gen_server.hpp>
#include <genserver/core/snapshot.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>

using genserver::Deadlock;
using genserver::Exit;
using genserver::ExitReason;
using genserver::Future;
using genserver::GenServer;
using genserver::OnException;
using genserver::Options;
using genserver::Reply;
using genserver::Report;
using genserver::ServerGone;

namespace {

using namespace std::chrono_literals;

// Returns the text of the std::runtime_error nested in the ServerGone that `action` throws.
template <class Action>
std::string nested_in_gone(Action&& action) {
  try {
    action();
  } catch (const ServerGone& gone) {
    const auto nested = thrown<std::runtime_error>([&] { std::rethrow_if_nested(gone); });
    return nested ? nested->what() : "nothing nested";
  }
  return "not gone";
}

const auto crash = [] { throw std::runtime_error{"crashed"}; };

// Writes down how it ends.
struct Ending {
  explicit Ending(std::vector<std::string>& list) : log{list} {}
  ~Ending() { log.push_back("destroyed"); }
  void terminate(const ExitReason& reason) { log.push_back("terminate " + reason.what()); }
  std::vector<std::string>& log;
  std::vector<Reply<int>> parked{};
};

}  // namespace

TEST_CASE("terminate runs once, with the reason, before the destructor of State",
          "[core][server_core]") {
  std::vector<std::string> log;
  GenServer<Ending> server{{}, log};

  server.call([](Ending& state) { state.log.push_back("a call"); });
  server.stop(ExitReason::shutdown("upgrade"));

  CHECK(log == std::vector<std::string>{"a call", "terminate shutdown: upgrade", "destroyed"});
  CHECK(server.exit_reason() == ExitReason::shutdown("upgrade"));
}

TEST_CASE("a message that owns its server may end it before its sender goes on",
          "[core][server_core]") {
  for (int round = 0; round < 200; ++round) {
    auto server = start<GenServer<int>>(Options{.name = "owned"}, 0);
    GenServer<int>& sent_to = *server;
    sent_to.cast_after(std::chrono::microseconds{50}, [] {});  // wakes it as well
    sent_to.cast([owner = std::move(server)]() mutable { owner.reset(); });
  }
}

TEST_CASE("an end takes its steps in the promised order", "[core][server_core]") {
  struct Step final : genserver::ExitWatcher {
    Step(std::vector<std::string>& list, std::string text) : log{list}, what{std::move(text)} {}
    void on_exit(const genserver::ExitedServer&) noexcept override { log.push_back(what); }
    std::vector<std::string>& log;
    const std::string what;
  };
  std::vector<std::string> log;  // all on the server's thread
  genserver::set_report_sink([&log](const Report& report) {
    if (report.kind == Report::Kind::crash) log.push_back("reported");
  });
  GenServer<Ending> server{{}, log};

  server.cast([&log](Ending&) {
    genserver::ServerEnd& end = genserver::running_server().end();
    end.watchers().add(std::make_shared<Step>(log, "monitors told"));
    end.holders().add(std::make_shared<Step>(log, "names given back"));
    const std::shared_ptr<void> refused{nullptr, [&log](void*) { log.push_back("refused"); }};
    genserver::self<Ending>().cast([refused](Ending&) {});
    crash();
  });
  server.stop();
  genserver::set_report_sink(nullptr);

  REQUIRE(log.size() == 6);
  CHECK(log[0].starts_with("terminate "));
  log.erase(log.begin());
  CHECK(log == std::vector<std::string>{"destroyed", "names given back", "refused", "reported",
                                        "monitors told"});
}

TEST_CASE("a server counts as alive, without a reason, until its State is destroyed",
          "[core][server_core]") {
  struct State {
    explicit State(std::vector<bool>& list) : seen{list} {}
    ~State() { look(); }
    void terminate(const ExitReason&) { look(); }
    void look() {
      const auto own = genserver::self<State>();
      seen.push_back(own.is_alive() && !own.exit_reason());
    }
    std::vector<bool>& seen;
  };
  std::vector<bool> seen;
  GenServer<State> server{{}, seen};

  server.stop();

  CHECK(seen == std::vector<bool>{true, true});
  CHECK_FALSE(server.is_alive());
  CHECK(server.exit_reason() == ExitReason::normal());
}

TEST_CASE("callers that are still queued learn of the end when State is destroyed",
          "[core][server_core]") {
  struct State {
    explicit State(std::atomic<bool>& flag) : is_destroyed{flag} {}
    ~State() { is_destroyed = true; }
    std::atomic<bool>& is_destroyed;
  };
  std::atomic<bool> is_destroyed{false};
  GenServer<State> server{{.name = "store"}, is_destroyed};
  Hold hold{server};
  server.request_stop(ExitReason::shutdown("upgrade"));
  Future<void> queued = server.async_call([] {});
  hold.let_go();

  const auto error = thrown<ServerGone>([&] { queued.get(); });
  const bool was_destroyed = is_destroyed;

  REQUIRE(error.has_value());
  CHECK(was_destroyed);
  CHECK(error->reason() == ExitReason::shutdown("upgrade"));
  CHECK(has(error->what(), "store"));
  CHECK(has(error->what(), "server_core.cpp"));
}

TEST_CASE("every kind of request that is queued at a stop completes its caller",
          "[core][server_core]") {
  std::vector<std::string> log;
  GenServer<Ending> server{{}, log};
  std::atomic<int> gone{0};
  const std::vector<std::function<void()>> requests{
      [&] { server.call([] {}); }, [&] { server.call_for(1h, [] {}); },
      [&] { server.call<int>([](Ending&, Reply<int> reply) { reply.reply(1); }); },
      [&] { server.call_when([](const Ending&) { return false; }, [] {}); },
      [&] { server.async_call([] {}).get(); }};
  Hold hold{server};
  server.request_stop(ExitReason::shutdown("upgrade"));
  std::vector<std::thread> callers;
  for (const auto& request : requests) {
    callers.emplace_back([&] {
      const auto error = thrown<ServerGone>(request);
      if (error && error->reason() == ExitReason::shutdown("upgrade")) ++gone;
    });
  }
  hold.let_go();
  for (std::thread& caller : callers) caller.join();

  CHECK(gone == 5);
}

TEST_CASE("replies that State holds complete their callers with the reason",
          "[core][server_core]") {
  std::vector<std::string> log;
  GenServer<Ending> server{{}, log};
  const auto park = [](Ending& state, Reply<int> reply) {
    state.parked.push_back(std::move(reply));
  };
  Future<int> first = server.async_call<int>(park);
  Future<int> second = server.async_call<int>(park);

  server.stop(ExitReason::shutdown("upgrade"));
  const auto error = thrown<ServerGone>([&] { first.get(); });

  REQUIRE(error.has_value());
  CHECK(error->reason() == ExitReason::shutdown("upgrade"));
  CHECK_THROWS_AS(second.get(), ServerGone);
}

TEST_CASE("a reply that somebody else holds completes its caller at the end",
          "[core][server_core]") {
  Reply<int> kept;
  GenServer<int> server{{}, 0};
  Future<int> future =
      server.async_call<int>([&](int&, Reply<int> reply) { kept = std::move(reply); });

  server.stop();

  CHECK(future.is_ready());
  CHECK_THROWS_AS(future.get(), ServerGone);
  CHECK_FALSE(kept.reply(1));
}

TEST_CASE("a guard that never holds does not keep its caller after the end",
          "[core][server_core]") {
  GenServer<int> server{{}, 0};
  Gate tried;
  std::atomic<bool> is_gone{false};
  std::thread caller{[&] {
    const auto guard = [&](const int&) {
      tried.open();
      return false;
    };
    is_gone = thrown<ServerGone>([&] { server.call_when(guard, [] {}); }).has_value();
  }};
  tried.wait();

  server.stop();
  caller.join();

  CHECK(is_gone);
}

TEST_CASE("an exception in a cast ends the server, with one report", "[core][server_core]") {
  const ReportLog crashes;
  std::vector<std::string> log;
  GenServer<Ending> server{{.name = "fragile"}, log};
  Hold hold{server};
  server.cast(crash);
  const unsigned line = __LINE__ - 1;
  Future<void> queued = server.async_call([] {});
  hold.let_go();

  const std::string nested = nested_in_gone([&] { queued.get(); });
  server.stop();

  CHECK(nested == "crashed");
  CHECK(log == std::vector<std::string>{"terminate exception: crashed", "destroyed"});
  CHECK(server.exit_reason().value().kind() == ExitReason::Kind::exception);
  REQUIRE(crashes.of(Report::Kind::crash).size() == 1);
  CHECK(crashes.of(Report::Kind::crash)[0].server == "fragile");
  CHECK(crashes.of(Report::Kind::crash)[0].pid == server.pid());
  CHECK(crashes.of(Report::Kind::crash)[0].site.line == line);
  CHECK(has(crashes.of(Report::Kind::crash)[0].text(), "fragile:"));
  CHECK(has(crashes.of(Report::Kind::crash)[0].text(), "ended: exception: crashed"));
}

TEST_CASE("an exception that nobody can receive ends the server, wherever it comes from",
          "[core][server_core]") {
  const ReportLog crashes;
  GenServer<int> server{{}, 0};
  const int source = GENERATE(0, 1, 2, 3);

  if (source == 0) server.try_cast(crash);
  if (source == 1) server.cast_after(0ms, crash);
  if (source == 2) server.cast_every(1ms, crash);
  if (source == 3) server.cast([&] { server.continue_with(crash); });

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(server.exit_reason().value().what() == "exception: crashed");
  CHECK(crashes.of(Report::Kind::crash).size() == 1);
}

TEST_CASE("an Exit ends the server with its reason, without a report if that is wanted",
          "[core][server_core]") {
  const ReportLog crashes;
  std::vector<std::string> log;
  GenServer<Ending> server{{}, log};
  const int source = GENERATE(0, 1, 2);
  const auto leave = [] { throw Exit{ExitReason::shutdown("done")}; };

  if (source == 0) server.cast(leave);
  if (source == 1) server.cast_after(0ms, leave);
  if (source == 2) server.cast([&] { server.continue_with(leave); });

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(server.exit_reason() == ExitReason::shutdown("done"));
  CHECK(log == std::vector<std::string>{"terminate shutdown: done", "destroyed"});
  CHECK(crashes.of(Report::Kind::crash).empty());
}

TEST_CASE("an Exit in a request ends the server, and its caller is told the reason",
          "[core][server_core]") {
  GenServer<int> server{{}, 0};
  const auto leave = [] { throw Exit{ExitReason::shutdown("done")}; };
  const std::vector<std::function<void()>> requests{
      [&] { server.call(leave); },
      [&] { server.call_for(1h, leave); },
      [&] { server.call<int>([&](int&, Reply<int>) { leave(); }); },
      [&] { server.call_when([](const int&) { return true; }, leave); },
      [&] { server.call([&] { server.call(leave); }); },
      [&] { server.async_call(leave).get(); }};
  const auto& request = requests[GENERATE(0U, 1U, 2U, 3U, 4U, 5U)];

  const auto error = thrown<ServerGone>(request);
  server.stop();

  REQUIRE(error.has_value());
  CHECK(error->reason() == ExitReason::shutdown("done"));
  CHECK(server.exit_reason() == ExitReason::shutdown("done"));
}

TEST_CASE("a handler that catches every std::exception lets Exit pass", "[core][server_core]") {
  GenServer<int> server{{}, 0};

  server.cast([] {
    try {
      throw Exit{};
    } catch (const std::exception&) {
    }
  });

  CHECK(eventually([&] { return !server.is_alive(); }));
  CHECK(server.exit_reason() == ExitReason::normal());
}

TEST_CASE("an Exit with an abnormal reason is reported", "[core][server_core]") {
  const ReportLog crashes;
  GenServer<int> server{{}, 0};

  server.cast([] { throw Exit{ExitReason::killed()}; });
  static_cast<void>(eventually([&] { return !server.is_alive(); }));

  CHECK(server.exit_reason() == ExitReason::killed());
  REQUIRE(crashes.of(Report::Kind::crash).size() == 1);
  CHECK(crashes.of(Report::Kind::crash)[0].reason == ExitReason::killed());
}

TEST_CASE("a thread that is ended in a handler ends the server, and nobody waits for ever",
          "[core][server_core]") {
  const ReportLog log;
  GenServer<int> server{{}, 0};

  const auto told = thrown<ServerGone>([&] { server.call([](int&) { ::pthread_exit(nullptr); }); });

  REQUIRE(told.has_value());
  CHECK(told->reason() == ExitReason::killed());
  server.stop();
  CHECK(log.count(Report::Kind::crash) == 1);
}

TEST_CASE("with the policy crash an exception in a request ends the server",
          "[core][server_core]") {
  const ReportLog crashes;
  GenServer<int> server{{.on_exception = OnException::crash}, 0};
  const std::vector<std::function<void()>> requests{
      [&] { server.call(crash); },
      [&] { server.call_for(1h, crash); },
      [&] { server.call<int>([](int&, Reply<int>) { crash(); }); },
      [&] { server.call_when([](const int&) { return true; }, crash); },
      [&] {
        server.call_when([](const int&) -> bool { throw std::runtime_error{"crashed"}; }, [] {});
      },
      [&] { server.call([&] { server.call(crash); }); },
      [&] { server.async_call(crash).get(); }};
  const auto& request = requests[GENERATE(0U, 1U, 2U, 3U, 4U, 5U, 6U)];

  const std::string nested = nested_in_gone(request);
  server.stop();

  CHECK(nested == "crashed");
  CHECK(server.exit_reason().value().what() == "exception: crashed");
  CHECK(crashes.of(Report::Kind::crash).size() == 1);
}

TEST_CASE("what terminate throws becomes the reason and is reported", "[core][server_core]") {
  struct State {
    void terminate(const ExitReason&) { throw std::runtime_error{"could not save"}; }
  };
  const ReportLog crashes;
  GenServer<State> server{{}};
  Hold hold{server};
  server.request_stop();
  Future<void> queued = server.async_call([] {});
  hold.let_go();

  const std::string nested = nested_in_gone([&] { queued.get(); });
  server.stop();

  CHECK(nested == "could not save");
  CHECK(server.exit_reason().value().what() == "exception: could not save");
  REQUIRE(crashes.of(Report::Kind::crash).size() == 1);
  CHECK(crashes.of(Report::Kind::crash)[0].reason == server.exit_reason());
}

TEST_CASE("an Exit from terminate replaces the reason", "[core][server_core]") {
  struct State {
    void terminate(const ExitReason&) { throw Exit{ExitReason::shutdown("after all")}; }
  };
  const ReportLog crashes;
  GenServer<State> server{{}};

  server.stop();

  CHECK(server.exit_reason() == ExitReason::shutdown("after all"));
  CHECK(crashes.of(Report::Kind::crash).empty());
}

TEST_CASE("a State without terminate ends all the same", "[core][server_core]") {
  GenServer<std::string> server{{}, "state"};

  server.stop();

  CHECK(server.exit_reason() == ExitReason::normal());
}

TEST_CASE("the crash is reported before stop returns, and the thread has gone then",
          "[core][server_core]") {
  struct AtThreadExit {
    ~AtThreadExit() {  // gives who does not wait the time to be first
      for (int i = 0; i < 1000; ++i) std::this_thread::yield();
      flag->store(true);
    }
    std::atomic<bool>* flag;
  };
  const ReportLog crashes;
  std::atomic<bool> has_gone{false};
  GenServer<int> server{{}, 0};
  const bool is_made = server.call([&] {
    thread_local const AtThreadExit at_exit{&has_gone};
    return at_exit.flag == &has_gone;
  });

  server.cast(crash);
  server.stop();

  CHECK(is_made);
  CHECK(has_gone);
  CHECK(crashes.of(Report::Kind::crash).size() == 1);
}

TEST_CASE("neither a stop with a time nor one in a handler waits for what the thread does last",
          "[core][server_core]") {
  struct AtThreadExit {
    ~AtThreadExit() { gate->wait(); }
    Gate* gate;
  };
  const bool in_handler = GENERATE(false, true);
  Gate gate;
  GenServer<int> stopping{{}, 0};
  GenServer<int> server{{}, 0};
  const bool is_made = server.call([&] {
    thread_local const AtThreadExit at_exit{&gate};
    return at_exit.gate == &gate;
  });

  if (in_handler) stopping.call([&] { server.stop(); });
  if (!in_handler) CHECK(server.stop_for(1h));

  gate.open();

  CHECK(is_made);
  CHECK_FALSE(server.is_alive());
}

TEST_CASE("a server that crashed can be stopped and destroyed as any other",
          "[core][server_core]") {
  const ReportLog crashes;
  auto server = std::make_unique<GenServer<int>>(Options{}, 0);
  const auto ref = server->ref();

  server->cast(crash);
  server->stop();
  server.reset();

  CHECK(ref.exit_reason().value().what() == "exception: crashed");
}

TEST_CASE("closures that are given up are destroyed", "[core][server_core]") {
  const auto token = std::make_shared<int>(0);
  GenServer<int> server{{}, 0};
  Hold hold{server};
  server.request_stop();
  server.cast([token] { ++*token; });
  server.cast_after(1h, [token] { ++*token; });
  static_cast<void>(server.async_call([token] { ++*token; }));
  hold.let_go();

  server.stop();

  CHECK(*token == 0);
  CHECK(token.use_count() == 1);
}

TEST_CASE("requests that race with the end are answered or refused, never lost",
          "[core][server_core]") {
  for (int round = 0; round < 20; ++round) {
    GenServer<int> server{{.mailbox_capacity = 2}, 0};
    std::atomic<int> completed{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 3; ++caller) {
      callers.emplace_back([&] {
        for (int n = 0; n < 20; ++n) {
          Future<int> future = server.async_call([](int& state) { return ++state; });
          const bool is_gone = thrown<ServerGone>([&] { future.get(); }).has_value();
          const bool is_refused = thrown<ServerGone>([&] { server.call([] {}); }).has_value();
          if (is_refused || !is_gone) ++completed;
        }
      });
    }
    server.stop();
    for (std::thread& caller : callers) caller.join();

    CHECK(completed == 60);
  }
}

TEST_CASE("a handler that waits for an end goes on when all others have been told",
          "[core][server_core]") {
  struct Patient final : genserver::ExitWatcher {
    void on_exit(const genserver::ExitedServer&) noexcept override {
      for (int i = 0; i < 1000 && !has_returned; ++i) std::this_thread::yield();
      was_told_before = !has_returned;
    }
    std::atomic<bool> has_returned{false};
    bool was_told_before = false;
  };
  struct Target {
    void terminate(const ExitReason&) const {  // so that it is told after who waits already
      genserver::running_server().end().watchers().add(other);
    }
    std::shared_ptr<Patient> other;
  };
  const auto other = std::make_shared<Patient>();
  GenServer<Target> target{{}, other};
  GenServer<int> waiting{{}, 0};
  waiting.cast([&] {
    target.ref().wait();
    other->has_returned = true;
  });
  const auto waits = [&] {
    const genserver::Snapshot all = genserver::snapshot();
    const auto its = all.find(waiting.pid());
    return its && all.servers[*its].waits_for;
  };
  CHECK(eventually(waits));

  target.stop();
  waiting.call([] {});

  CHECK(other->was_told_before);
}

TEST_CASE("a handler may wait for a server that is telling of its end", "[core][server_core]") {
  struct Patient final : genserver::ExitWatcher {
    void on_exit(const genserver::ExitedServer&) noexcept override {
      is_over.open();
      while (!is_waiting) std::this_thread::yield();
      for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // the other has begun to wait
    }
    Gate is_over{};
    std::atomic<bool> is_waiting{false};
  };
  const auto watcher = std::make_shared<Patient>();
  GenServer<int> target{{}, 0};
  GenServer<int> waiting{{}, 0};
  target.call([&] { genserver::running_server().end().watchers().add(watcher); });
  target.request_stop();
  watcher->is_over.wait();

  const bool has_ended = waiting.call([&] {
    watcher->is_waiting = true;
    return target.ref().wait_for(1h);
  });

  CHECK(has_ended);
}

TEST_CASE("a deadlock is found also after a stop has run the user's code", "[core][server_core]") {
  const ReportLog reports;
  std::atomic<int> deadlocks{0};
  std::atomic<bool> was_asked{false};
  Gate entered;
  GenServer<int> other{{}, 0};
  GenServer<int> stopping{{}, 0};
  GenServer<int> server{{}, 0};
  server.cast([&] {
    genserver::running_server().interrupts().heed_stops();
    const genserver::StopCallback asked{genserver::self_stop_token(), [&] {
      other.call([] {});  // in the handler that stops this one
      was_asked = true;
    }};
    entered.open();
    while (!was_asked) std::this_thread::yield();
    deadlocks += thrown<Deadlock>([&] { stopping.call([] {}); }) ? 1 : 0;
  });
  entered.wait();

  stopping.call([&] { deadlocks += thrown<Deadlock>([&] { server.stop(); }) ? 1 : 0; });
  server.stop();

  CHECK(deadlocks == 1);
}

TEST_CASE("a stop is not counted as a message", "[core][server_core]") {
  struct Counted {
    void terminate(const ExitReason&) const {
      const genserver::Snapshot all = genserver::snapshot();
      const auto own = all.find(genserver::self<Counted>().pid());
      if (own) handled = all.servers[*own].counts.handled;
    }
    std::uint64_t& handled;
  };
  std::uint64_t handled = 0;
  GenServer<Counted> server{{}, handled};

  server.cast([] {});
  server.stop();

  CHECK(handled == 1);
}

TEST_CASE("a server may call the one that has just started it", "[core][server_core]") {
  struct Child {
    explicit Child(const genserver::ServerRef<int>& starter) {
      genserver::self<Child>().cast([starter] { starter.call([](int& n) { ++n; }); });
    }
  };
  GenServer<int> starter{{}, 0};
  for (int round = 0; round < 100; ++round) {
    std::unique_ptr<GenServer<Child>> child;
    starter.call([&] { child = std::make_unique<GenServer<Child>>(Options{}, starter.ref()); });

    child->stop();

    CHECK(child->exit_reason() == ExitReason::normal());
  }
}

TEST_CASE("what a server was lent for ends it on its own thread", "[core][server_core]") {
  std::vector<std::string> log;
  GenServer<Ending> server{{.run_calls = genserver::RunCalls::on_caller_when_idle}, log};

  const auto error =
      thrown<ServerGone>([&] { server.call([] { throw Exit{ExitReason::shutdown("done")}; }); });
  server.stop();

  REQUIRE(error.has_value());
  CHECK(error->reason() == ExitReason::shutdown("done"));
  CHECK(log == std::vector<std::string>{"terminate shutdown: done", "destroyed"});
}

TEST_CASE("the report of a crash names the server that sent the message", "[core][server_core]") {
  const ReportLog crashes;
  GenServer<int> sender{{.name = "sender"}, 0};
  GenServer<int> fragile{{.name = "fragile"}, 0};

  sender.call([&] { fragile.cast([](int&) { throw std::runtime_error{"crashed"}; }); });
  fragile.stop();

  REQUIRE(crashes.count(Report::Kind::crash) == 1);
  CHECK(crashes.of(Report::Kind::crash)[0].client == "sender");
  CHECK(crashes.of(Report::Kind::crash)[0].client_pid == sender.pid());
}
