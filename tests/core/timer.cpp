// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/timer.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using genserver::GenServer;
using genserver::OnFull;
using genserver::Timer;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Numbers = std::vector<int>;

const auto copy = [](Numbers& numbers) { return numbers; };

auto append(int n) {
  return [n](Numbers& numbers) { numbers.push_back(n); };
}

auto has_size(std::size_t size) {
  return [size](const Numbers& numbers) { return numbers.size() == size; };
}

}  // namespace

TEST_CASE("a timer fires once, not before its time", "[core][timer]") {
  GenServer<Numbers> server{{}};
  const auto before = Clock::now();

  Timer timer = server.cast_after(20ms, append(1));
  const bool was_active = timer.is_active();
  const Numbers fired = server.call_when(has_size(1), copy);
  const auto waited = Clock::now() - before;

  CHECK(was_active);
  CHECK(fired == Numbers{1});
  CHECK(waited >= 20ms);
  CHECK(server.call([&] { return !timer.is_active(); }));
  CHECK_FALSE(timer.cancel().has_value());
}

TEST_CASE("a cancelled timer tells once how much time was left, and never fires", "[core][timer]") {
  GenServer<int> server{{}, 0};
  Timer timer = server.cast_after(1h, [](int& n) { n = 1; });

  const auto remaining = timer.remaining();
  const auto left = timer.cancel();
  const auto again = timer.cancel();

  REQUIRE(remaining.has_value());
  REQUIRE(left.has_value());
  CHECK(*left > 0s);
  CHECK(*left <= *remaining);
  CHECK(*remaining <= 1h);
  CHECK_FALSE(again.has_value());
  CHECK_FALSE(timer.is_active());
  CHECK_FALSE(timer.remaining().has_value());
}

TEST_CASE("a timer that is due but still queued can be cancelled", "[core][timer]") {
  std::optional<std::chrono::nanoseconds> remaining;
  std::optional<std::chrono::nanoseconds> left;
  GenServer<Numbers> server{{}};
  Timer timer;
  {
    const Hold hold{server};
    timer = server.cast_after(0ms, append(2));
    server.cast([&](Numbers& numbers) {  // the timer is queued behind this
      remaining = timer.remaining();
      left = timer.cancel();
      numbers.push_back(1);
    });
  }
  server.call([] {});
  server.call([] {});

  CHECK(remaining == 0ns);
  CHECK(left == 0ns);
  CHECK_FALSE(timer.is_active());
  CHECK(server.call(copy) == Numbers{1});
}

TEST_CASE("timers that are due run in the order of their times", "[core][timer]") {
  GenServer<Numbers> server{{}};
  {
    const Hold hold{server};
    server.cast_after(3ms, append(3));
    server.cast_after(1ms, append(1));
    server.cast_after(2ms, append(2));
    const auto all_due = Clock::now() + 3ms;
    CHECK(eventually([&] { return Clock::now() >= all_due; }));
  }

  CHECK(server.call_when(has_size(3), copy) == Numbers{1, 2, 3});
}

TEST_CASE("a timer comes behind what is queued when it is due", "[core][timer]") {
  GenServer<Numbers> server{{}};
  {
    const Hold hold{server};
    server.cast_after(0ms, append(3));
    server.cast(append(1));
    server.cast(append(2));
  }

  CHECK(server.call_when(has_size(3), copy) == Numbers{1, 2, 3});
}

TEST_CASE("a timer needs no room in the mailbox", "[core][timer]") {
  const auto policy =
      GENERATE(OnFull::block, OnFull::fail, OnFull::drop_newest, OnFull::drop_oldest);
  GenServer<Numbers> server{{.mailbox_capacity = 1, .on_full = policy}};
  {
    const Hold hold{server};
    server.cast(append(1));
    for (int n = 2; n <= 10; ++n) server.cast_after(0ms, append(n));
  }

  CHECK(server.call_when(has_size(10), copy).size() == 10);
}

TEST_CASE("a periodic timer fires again and again, not before its times", "[core][timer]") {
  GenServer<Numbers> server{{}};
  const auto before = Clock::now();

  Timer timer = server.cast_every(5ms, append(1));
  server.call_when([](const Numbers& fired) { return fired.size() >= 4; }, copy);
  const auto waited = Clock::now() - before;
  const auto left = timer.cancel();
  const auto count = server.call(copy).size();

  CHECK(waited >= 20ms);
  CHECK(left.has_value());
  CHECK(*left <= 5ms);
  CHECK_FALSE(timer.is_active());
  server.cast_after(20ms, append(7));
  CHECK(server.call_when([](const Numbers& all) { return all.back() == 7; }, copy).size() ==
        count + 1);
}

TEST_CASE("a periodic timer leaves out what a busy server has missed", "[core][timer]") {
  constexpr auto period = 5ms;
  std::optional<Clock::time_point> end_of_stall;
  GenServer<std::vector<Clock::time_point>> server{{}};

  Timer timer = server.cast_every(period, [&](std::vector<Clock::time_point>& times) {
    if (times.empty()) {
      const auto end = Clock::now() + 20 * period;
      static_cast<void>(eventually([&] { return Clock::now() >= end; }));
      end_of_stall = Clock::now();
    }
    times.push_back(Clock::now());
  });
  const auto times = server.call_when([](const auto& seen) { return seen.size() >= 8; },
                                      [](auto& seen) { return seen; });
  timer.cancel();
  server.call([] {});

  // The second is due after the stall, and each other one period after the one before.
  CHECK(times[7] - end_of_stall.value() >= 6 * period);
}

TEST_CASE("a periodic timer that other handlers delay makes up for nothing", "[core][timer]") {
  constexpr auto period = 5ms;
  GenServer<std::vector<Clock::time_point>> server{{}};
  Timer timer = server.cast_every(period, [](auto& times) { times.push_back(Clock::now()); });

  const auto end_of_stall = server.call([&](auto& times) {
    const auto end = Clock::now() + 20 * period;
    static_cast<void>(eventually([&] { return Clock::now() >= end; }));
    times.clear();
    return Clock::now();
  });
  const auto times = server.call_when([](const auto& seen) { return seen.size() >= 8; },
                                      [](auto& seen) { return seen; });
  timer.cancel();

  CHECK(times[7] - end_of_stall >= 6 * period);
}

TEST_CASE("a handler may cancel its own timer", "[core][timer]") {
  struct Ticker {
    int ticks = 0;
    Timer timer{};
    std::optional<std::chrono::nanoseconds> left{};
  };
  GenServer<Ticker> server{{}};
  server.call([&](Ticker& ticker) {
    ticker.timer = server.cast_every(1ms, [](Ticker& state) {
      if (++state.ticks == 3) state.left = state.timer.cancel();
    });
  });

  const auto left = server.call_when([](const Ticker& ticker) { return ticker.ticks == 3; },
                                     [](Ticker& ticker) { return ticker.left; });
  Gate later;
  server.cast_after(10ms, [&] { later.open(); });
  later.wait();

  CHECK(left == 0ns);
  CHECK(server.call([](Ticker& ticker) { return ticker.ticks; }) == 3);
  CHECK_FALSE(server.call([](Ticker& ticker) { return ticker.timer.is_active(); }));
}

TEST_CASE("a timer that fires once has ended when its handler runs", "[core][timer]") {
  struct State {
    Timer timer{};
    std::optional<bool> has_ended{};
  };
  GenServer<State> server{{}};
  server.call([&](State& state) {
    state.timer = server.cast_after(0ms, [](State& later) {
      later.has_ended = !later.timer.cancel() && !later.timer.is_active();
    });
  });

  const auto has_ended =
      server.call_when([](const State& state) { return state.has_ended.has_value(); },
                       [](State& state) { return *state.has_ended; });

  CHECK(has_ended);
}

TEST_CASE("an idle timeout is put off by each message", "[core][timer]") {
  struct State {
    Timer idle{};
    std::vector<Clock::time_point> messages{};
    std::optional<Clock::time_point> idle_since{};
  };
  GenServer<State> server{{}};
  const auto touch = [](State& state) {
    state.idle.cancel();
    state.messages.push_back(Clock::now());
    state.idle = genserver::self<State>().cast_after(
        10ms, [](State& later) { later.idle_since = Clock::now(); });
  };

  server.cast(touch);
  server.cast_after(5ms, touch);
  const auto wait = server.call_when(
      [](const State& s) { return s.messages.size() == 2 && s.idle_since >= s.messages.back(); },
      [](State& s) { return *s.idle_since - s.messages.back(); });

  CHECK(wait >= 10ms);
}

TEST_CASE("a timer of a server that has ended is inactive", "[core][timer]") {
  const auto token = std::make_shared<int>(0);
  GenServer<int> server{{}, 0};
  Timer before = server.cast_after(1h, [token] { ++*token; });
  Timer periodic = server.cast_every(1h, [token] { ++*token; });
  server.stop();
  Timer after = server.cast_after(0ms, [token] { ++*token; });

  for (Timer* const timer : {&before, &periodic, &after}) {
    CHECK_FALSE(timer->is_active());
    CHECK_FALSE(timer->remaining().has_value());
    CHECK_FALSE(timer->cancel().has_value());
  }
  CHECK(*token == 0);
}

TEST_CASE("a timer ends with its server also while somebody asks for it", "[core][timer]") {
  struct Message final : genserver::TimerMessage {
    explicit Message(const std::shared_ptr<genserver::TimerQueue>& queue)
        : TimerMessage{queue, 0ms, genserver::CallSite::here()} {}
    void fire(void*) override {}
  };
  const auto queue = std::make_shared<genserver::TimerQueue>();
  const auto asked_for = std::make_shared<Message>(queue);
  Timer timer{asked_for};
  queue->arm(asked_for, std::chrono::steady_clock::now() + 1h);

  queue->close();

  CHECK_FALSE(timer.is_active());
  CHECK_FALSE(timer.cancel().has_value());
}

TEST_CASE("a timer outlives its server without harm", "[core][timer]") {
  Timer timer;
  {
    GenServer<int> server{{}, 0};
    timer = server.cast_after(1h, [] {});
  }

  CHECK_FALSE(timer.is_active());
  CHECK_FALSE(timer.cancel().has_value());
}

TEST_CASE("a timer that was never made is inactive", "[core][timer]") {
  Timer timer;

  CHECK_FALSE(timer.is_active());
  CHECK_FALSE(timer.cancel().has_value());
}

TEST_CASE("what a timer has captured is freed when it is done or cancelled", "[core][timer]") {
  const auto token = std::make_shared<int>(0);
  GenServer<int> server{{}, 0};

  server.cast_after(0ms, [token] {});
  server.cast_after(1h, [token] {}).cancel();
  server.cast_every(1ms, [token, timer = std::make_shared<Timer>()] {}).cancel();

  CHECK(eventually([&] { return token.use_count() == 1; }));
}

TEST_CASE("a timer of a hundred years or more does not overflow", "[core][timer]") {
  GenServer<int> server{{}, 0};

  Timer timer = server.cast_after(std::chrono::hours::max(), [](int& n) { n = 1; });
  Timer periodic = server.cast_every(std::chrono::hours::max(), [](int& n) { n = 1; });

  CHECK(server.call([](int& n) { return n; }) == 0);
  CHECK(timer.cancel().value() > std::chrono::hours{24 * 365 * 99});
  CHECK(periodic.cancel().value() > std::chrono::hours{24 * 365 * 99});
}

TEST_CASE("an earlier timer wakes a server that sleeps for a later one", "[core][timer]") {
  GenServer<Numbers> server{{}};

  server.cast_after(1h, append(2));
  server.call([] {});
  server.cast_after(1ms, append(1));

  CHECK(server.call_when(has_size(1), copy) == Numbers{1});
}

TEST_CASE("a crash in a timer names the line that made it", "[core][timer]") {
  std::mutex mutex;
  std::vector<unsigned> lines;
  genserver::set_report_sink([&](const genserver::Report& report) {
    const std::scoped_lock lock{mutex};
    lines.push_back(report.site.line);
  });
  GenServer<int> server{{}, 0};

  server.cast_every(1ms, [] { throw std::runtime_error{"crashed"}; });
  const unsigned line = __LINE__ - 1;
  CHECK(eventually([&] { return !server.is_alive(); }));
  genserver::set_report_sink({});

  CHECK(lines == std::vector<unsigned>{line});
}

TEST_CASE("many timers from many threads all fire", "[core][timer]") {
  std::atomic<int> fired{0};
  GenServer<int> server{{}, 0};
  std::vector<std::thread> threads;

  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) {
        server.cast_after(std::chrono::milliseconds{k % 5}, [&] { ++fired; });
        server.cast_after(1h, [&] { fired = -1000; }).cancel();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(eventually([&] { return fired == 200; }));
}

TEST_CASE("a timer that is kept keeps nothing of what it would have sent", "[core][timer]") {
  const auto captured = std::make_shared<int>(1);
  genserver::Timer cancelled;
  genserver::Timer of_ended;
  {
    genserver::GenServer<int> server{{}, 0};
    cancelled = server.cast_after(std::chrono::hours{1}, [captured](int&) {});
    of_ended = server.cast_after(std::chrono::hours{1}, [captured](int&) {});
    cancelled.cancel();
    CHECK(captured.use_count() == 2);
  }

  CHECK(captured.use_count() == 1);
  CHECK_FALSE(of_ended.is_active());
}
