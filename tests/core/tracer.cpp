// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/tracer.hpp>

#include <genserver/core/gen_server.hpp>
#include <genserver/core/trace.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

using genserver::GenServer;
using genserver::TraceEvent;
using genserver::Tracer;
using genserver::trace;
using genserver::trace_all;

namespace {

using Kind = TraceEvent::Kind;

const auto copy = [](int& n) { return n; };

struct Events {
  std::mutex mutex{};
  std::vector<TraceEvent> all{};  // guarded by mutex
};

/// Lets casting threads and calling ones use the same servers, with all traced into `events`.
void make_traffic(Events& events) {
  const auto first = std::make_unique<GenServer<int>>(genserver::Options{}, 0);
  const auto second = std::make_unique<GenServer<int>>(
      genserver::Options{.run_calls = genserver::RunCalls::on_caller_when_idle}, 0);
  trace_all([&events](const TraceEvent& event) {
    const std::scoped_lock lock{events.mutex};
    events.all.push_back(event);
  });
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        first->cast([](int& n) { ++n; });
        second->call([&](int& n) { n += first->call(copy); });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  second->stop();
  first->stop();
  trace_all({});
}

}  // namespace

TEST_CASE("any number of servers may be traced at a time, each to a sink of its own",
          "[core][tracer]") {
  constexpr int most = 60;  // what is kept for those that are gone is looked through now and then
  std::vector<std::unique_ptr<GenServer<int>>> servers;
  std::vector<std::unique_ptr<std::atomic<int>>> seen;
  for (int i = 0; i < most; ++i) {
    servers.push_back(std::make_unique<GenServer<int>>());
    seen.push_back(std::make_unique<std::atomic<int>>(0));
    trace(*servers.back(), [&count = *seen.back()](const TraceEvent& event) {
      if (event.kind == Kind::handled) ++count;
    });
  }

  for (const auto& server : servers) server->call(copy);
  servers.clear();

  for (const auto& count : seen) CHECK(*count >= 1);
}

TEST_CASE("what a sink throws is dropped", "[core][tracer]") {
  GenServer<int> server{{}, 0};
  std::atomic<int> events{0};

  trace(server, [&](const TraceEvent&) {
    ++events;
    throw std::runtime_error{"no"};
  });
  server.cast([](int& n) { n = 1; });

  CHECK(server.call(copy) == 1);
  server.stop();
  CHECK(events > 4);
}

TEST_CASE("a sink may send to a server that is traced, which then does not tell",
          "[core][tracer]") {
  GenServer<int> log{{.name = "log"}, 0};
  GenServer<int> server{{}, 0};
  std::atomic<int> events{0};
  std::atomic<int> events_of_log{0};
  trace_all([&](const TraceEvent& event) {
    ++(event.server == log.pid() ? events_of_log : events);
    log.cast([](int& n) { ++n; });
  });

  server.call(copy);
  server.stop();
  trace_all({});

  CHECK(log.call(copy) == events);
  CHECK(events_of_log == 0);
}

TEST_CASE("a message that a sink sends has no number", "[core][tracer]") {
  struct Ended final : genserver::Message {
    Ended() : Message{genserver::CallSite{}} {}
    void run(void*) override {}
    void refuse(const genserver::Refusal&) noexcept override {}
  };
  GenServer<int> server{{}, 0};
  std::optional<std::uint64_t> number;
  trace(server, [&](const TraceEvent&) {
    if (number) return;
    Ended message;
    Tracer::instance().emit(Kind::sent, server.callee(), message, 1, false);
    number = Tracer::id_of(message);
  });

  server.cast([] {});
  server.stop();

  CHECK(number == 0U);
}

TEST_CASE("an event without a number is not told", "[core][tracer]") {
  GenServer<int> server{{}, 0};
  std::vector<std::uint64_t> numbers;
  trace(server, [&](const TraceEvent& event) { numbers.push_back(event.message); });

  TraceEvent event;
  Tracer::instance().emit(event, server.callee());
  event.message = 5;
  Tracer::instance().emit(event, server.callee());
  trace(server, {});

  CHECK(numbers == std::vector<std::uint64_t>{5});
}

TEST_CASE("a sink that is replaced gets no more, and is destroyed", "[core][tracer]") {
  GenServer<int> server{{}, 0};
  auto events = std::make_shared<std::atomic<int>>(0);
  const std::weak_ptr kept = events;
  trace(server, [events = std::exchange(events, nullptr)](const TraceEvent&) { ++*events; });
  server.call(copy);

  std::atomic<int> later{0};
  trace(server, [&](const TraceEvent&) { ++later; });
  server.call(copy);
  server.stop();

  CHECK(kept.expired());
  CHECK(later >= 4);
}

TEST_CASE("a sink may replace itself", "[core][tracer]") {
  GenServer<int> server{{}, 0};
  std::atomic<int> events{0};
  trace(server, [&](const TraceEvent&) {
    ++events;
    trace(server, {});
  });

  server.call(copy);
  server.stop();

  CHECK(events == 1);
}

TEST_CASE("the sink of a server goes with its end", "[core][tracer]") {
  const auto kept = std::make_shared<int>(0);
  GenServer<int> server{{}, 0};
  trace(server, [kept](const TraceEvent&) {});

  server.stop();

  CHECK(kept.use_count() == 1);
}

TEST_CASE("the sinks of servers that are gone are forgotten", "[core][tracer]") {
  const auto kept = std::make_shared<int>(0);
  const auto start_traced = [&] {
    auto server = std::make_unique<GenServer<int>>(genserver::Options{}, 0);
    trace(*server, [kept](const TraceEvent&) {});
    return server;
  };
  std::vector<std::unique_ptr<GenServer<int>>> alive;
  for (int i = 0; i < 5; ++i) alive.push_back(start_traced());

  for (int i = 0; i < 100; ++i) start_traced();

  CHECK(kept.use_count() > 5);
  CHECK(kept.use_count() < 50);
}

TEST_CASE("the sink of a server that is killed goes with it", "[core][tracer]") {
  const ReportLog log;
  GenServer<int> server{{.name = "killed"}, 0};
  const auto kept = std::make_shared<int>(0);
  trace(server.ref(), [kept](const TraceEvent&) {});
  Gate is_in;
  Gate go_on;
  server.cast([&] {
    is_in.open();
    go_on.wait();
  });
  is_in.wait();
  CHECK(kept.use_count() > 1);

  server.kill();

  CHECK(kept.use_count() == 1);
  go_on.open();
}

TEST_CASE("whatever is received was sent before, and is handled after", "[core][tracer]") {
  Events events;
  make_traffic(events);

  std::map<std::uint64_t, std::map<Kind, TraceEvent>> messages;
  for (const TraceEvent& event : events.all) messages[event.message].emplace(event.kind, event);
  std::size_t wrong = 0;
  for (const auto& [number, steps] : messages) {
    if (!steps.contains(Kind::sent) || !steps.contains(Kind::handled)) ++wrong;
    for (auto step = steps.begin(); std::next(step) != steps.end(); ++step) {
      const Kind kind = std::next(step)->first;  // in the order sent, received, handled, replied
      if (kind != Kind::replied && step->second.time > std::next(step)->second.time) ++wrong;
    }
  }
  CHECK(messages.size() == 2 + 4 * 300);  // two were the library's, for the ends
  CHECK(wrong == 0);
}

TEST_CASE("a server handles one message after the other", "[core][tracer]") {
  Events events;
  make_traffic(events);

  std::map<genserver::Pid, std::uint64_t> handling;
  std::size_t wrong = 0;
  for (const TraceEvent& event : events.all) {
    std::uint64_t& message = handling[event.server];
    if (event.kind == Kind::received && std::exchange(message, event.message) != 0) ++wrong;
    if (event.kind == Kind::handled && std::exchange(message, 0) != event.message) ++wrong;
  }
  CHECK(handling.size() == 2);
  CHECK(wrong == 0);
}
