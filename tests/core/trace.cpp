// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/trace.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/thrown.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using genserver::GenServer;
using genserver::Pid;
using genserver::Reply;
using genserver::TraceEvent;
using genserver::trace;
using genserver::trace_all;

namespace {

using namespace std::chrono_literals;
using Kind = TraceEvent::Kind;
using Kinds = std::vector<Kind>;

const auto copy = [](int& n) { return n; };

struct Seen : TraceEvent {
  explicit Seen(const TraceEvent& event)
      : TraceEvent{event}, names{std::string{event.name} + " " + std::string{event.sender_name}} {}
  std::string names;
};

/// Collects events as long as it lives; those of the library's own messages are left out.
class Events {
 public:
  explicit Events(const genserver::AnyRef& server) : server_{server} { trace(server, sink()); }
  Events() { trace_all(sink()); }
  ~Events() { server_ ? trace(server_, {}) : trace_all({}); }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  [[nodiscard]] std::vector<Seen> all() const {
    const std::scoped_lock lock{kept_->mutex};
    return kept_->events;
  }
  /// Returns the first `count` events, which are about to come, message by message: the next one
  /// may be sent when one is answered, but not over.
  [[nodiscard]] std::vector<Seen> first(std::size_t count) const {
    REQUIRE(eventually([&] { return all().size() >= count; }));
    std::vector<Seen> left = all();
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(count), left.end());
    for (auto at = left.begin(); at != left.end();) {
      at = std::stable_partition(
          at, left.end(), [message = at->message](const Seen& e) { return e.message == message; });
    }
    return left;
  }
  [[nodiscard]] Kinds first_kinds(std::size_t count) const {
    Kinds kinds;
    for (const Seen& event : first(count)) kinds.push_back(event.kind);
    return kinds;
  }

 private:
  struct Kept {
    std::mutex mutex{};
    std::vector<Seen> events{};  // guarded by mutex
  };

  genserver::TraceSink sink() {
    return [kept = kept_](const TraceEvent& event) {
      const std::scoped_lock lock{kept->mutex};
      if (event.site.line != 0) kept->events.emplace_back(event);
    };
  }

  genserver::AnyRef server_{};
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
};

}  // namespace

TEST_CASE("a cast is sent, received and handled", "[core][trace]") {
  GenServer<int> server{{}, 0};
  const Events events{server};

  server.cast([](int& n) { n = 1; });

  CHECK(events.first_kinds(3) == Kinds{Kind::sent, Kind::received, Kind::handled});
}

TEST_CASE("a call is replied before its handler is over", "[core][trace]") {
  GenServer<int> server{{}, 0};
  const Events events{server};

  server.call(copy);

  CHECK(events.first_kinds(4) == Kinds{Kind::sent, Kind::received, Kind::replied, Kind::handled});
}

TEST_CASE("the events of one message share a number and come in the order of time",
          "[core][trace]") {
  GenServer<int> server{{}, 0};
  const Events events{server};

  server.call(copy);
  server.call_for(1h, copy);

  const auto seen = events.first(8);
  CHECK(seen[0].message != seen[4].message);
  for (std::size_t i : {1U, 2U, 3U, 5U, 6U, 7U}) {
    CHECK(seen[i].message == seen[i - 1].message);
    CHECK(seen[i].time >= seen[i - 1].time);
  }
}

TEST_CASE("a late answer is replied when it is given", "[core][trace]") {
  GenServer<std::vector<Reply<int>>> server{{}};
  const Events events{server};

  auto answer = server.async_call<int>([](auto& open, Reply<int> reply) {
    open.push_back(std::move(reply));
  });
  server.cast([](auto& open) { open.front().reply(1); });
  CHECK(answer.get() == 1);

  const auto seen = events.first(7);
  CHECK(seen[3].message == seen[0].message);
  CHECK(seen[2].kind == Kind::handled);
  CHECK(seen[3].kind == Kind::replied);
  CHECK_FALSE(seen[3].has_failed);
}

TEST_CASE("an answer that is an exception is marked", "[core][trace]") {
  GenServer<int> server{{}, 0};
  const Events events{server};
  const auto fail = [](int&) { throw std::runtime_error{"no"}; };

  CHECK_THROWS_AS(server.call(fail), std::runtime_error);
  CHECK_THROWS_AS(server.call_for(1h, fail), std::runtime_error);

  const auto seen = events.first(8);
  CHECK(seen[2].kind == Kind::replied);
  CHECK(seen[2].has_failed);
  CHECK(seen[6].kind == Kind::replied);
  CHECK(seen[6].has_failed);
}

TEST_CASE("a handler that ends the server by an exception is marked", "[core][trace]") {
  genserver::set_report_sink([](const genserver::Report&) {});
  GenServer<int> server{{}, 0};
  const Events events{server};

  server.cast([](int&) { throw std::runtime_error{"no"}; });

  const auto seen = events.first(3);
  CHECK_FALSE(seen[1].has_failed);
  CHECK(seen[2].kind == Kind::handled);
  CHECK(seen[2].has_failed);
  server.stop();
  genserver::set_report_sink(nullptr);
}

TEST_CASE("a timer's message is received and handled, but nobody sends it", "[core][trace]") {
  GenServer<int> server{{}, 0};
  const Events events{server};

  server.cast_after(1ms, [](int& n) { n = 1; });

  CHECK(events.first_kinds(2) == Kinds{Kind::received, Kind::handled});
}

TEST_CASE("an event names the server that sends", "[core][trace]") {
  GenServer<int> stock{{.name = "stock"}, 0};
  GenServer<int> orders{{.name = "orders"}, 0};
  const Events events{stock};

  stock.call(copy);
  orders.call([&] { return stock.call(copy); });

  const auto seen = events.first(7);
  CHECK(seen[0].names == "stock ");
  CHECK(seen[0].sender == Pid{});
  for (std::size_t i : {4U, 5U, 6U}) {
    CHECK(seen[i].server == stock.pid());
    CHECK(seen[i].sender == orders.pid());
    CHECK(seen[i].names == "stock orders");
  }
}

TEST_CASE("an event names the line that sends, and the thread where it happens", "[core][trace]") {
  GenServer<int> server{{}, 0};
  const Events events{server};

  const unsigned line = __LINE__ + 1;
  server.call(copy);
  server.call(copy);

  const auto seen = events.first(8);
  CHECK(seen[0].site.line == line);
  CHECK(seen[3].site.line == line);
  CHECK(seen[0].site.file_name() == "trace.cpp");
  CHECK(seen[0].thread == seen[4].thread);
  CHECK(seen[1].thread == seen[3].thread);
  CHECK(seen[0].thread != seen[1].thread);
}

TEST_CASE("an empty sink ends the tracing", "[core][trace]") {
  GenServer<int> server{{}, 0};
  const Events events{server};
  server.call(copy);
  const std::size_t before = events.first(4).size();

  trace(server, {});
  server.call(copy);
  server.stop();

  CHECK(events.all().size() == before);
}

TEST_CASE("only the server that was named is traced", "[core][trace]") {
  GenServer<int> traced{{}, 0};
  GenServer<int> other{{}, 0};
  const Events events{traced};

  other.call(copy);
  traced.call(copy);

  for (const Seen& event : events.first(4)) CHECK(event.server == traced.pid());
}

TEST_CASE("all servers are traced, those that come later included", "[core][trace]") {
  GenServer<int> early{{}, 0};
  const Events events;
  GenServer<int> late{{}, 0};

  early.call(copy);
  late.call(copy);

  const auto seen = events.first(8);
  const auto count = [&](Pid pid) {
    return std::count_if(seen.begin(), seen.end(), [&](const Seen& e) { return e.server == pid; });
  };
  CHECK(count(early.pid()) == 4);
  CHECK(count(late.pid()) == 4);
}

TEST_CASE("a server has its own sink beside that of all, and keeps it", "[core][trace]") {
  GenServer<int> server{{}, 0};
  const Events own{server};
  {
    const Events all;
    server.call(copy);
    CHECK(all.first(4).size() == 4);
  }

  server.call(copy);

  CHECK(own.first(8).size() == 8);
}

TEST_CASE("a call that waits for its guard is taken up again and again", "[core][trace]") {
  GenServer<int> server{{}, 0};
  const Events events{server};
  const auto is_one = [](const int& n) { return n == 1; };

  server.cast_after(1ms, [](int& n) { n = 1; });
  server.call_when(is_one, copy);

  const auto seen = events.first(8);
  CHECK(std::count_if(seen.begin(), seen.end(), [&](const Seen& event) {
          return event.message == seen[0].message && event.kind == Kind::received;
        }) >= 2);
}

TEST_CASE("an empty reference cannot be traced", "[core][trace]") {
  const auto error = thrown<genserver::InvalidArgument>([] { trace(genserver::AnyRef{}, {}); });

  CHECK(error.has_value());
}
