// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/behaviour.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <algorithm>
#include <any>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

struct UnsupportedOperation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Calculates with one number.
class Math : public Behaviour {
 public:
  std::any handle(std::string_view method, std::uint64_t, const std::any& body) override {
    if (method == "value") return value_;
    if (method == "+") return value_ += std::any_cast<int>(body), std::any{};
    if (method == "*") return value_ *= std::any_cast<int>(body), std::any{};
    throw UnsupportedOperation{std::string{method}};
  }

 private:
  int value_ = 0;
};

using Pair = std::pair<std::string, int>;

/// Keeps values by key; all that it is asked for is checked by hand.
class Store : public Behaviour {
 public:
  Store() = default;
  explicit Store(std::map<std::string, int> values) : values_{std::move(values)} {}

  std::any handle(std::string_view method, std::uint64_t, const std::any& body) override {
    if (method == "put") return put(std::any_cast<Pair>(body));
    const auto key = std::any_cast<std::string>(body);
    if (method == "get") return values_.at(key);
    if (method != "delete") throw UnsupportedOperation{std::string{method}};
    const int value = values_.at(key);
    values_.erase(key);
    return value;
  }

 private:
  std::any put(const Pair& pair) {
    if (!values_.insert(pair).second) throw std::invalid_argument{"key exists: " + pair.first};
    return {};
  }

  std::map<std::string, int> values_{};
};

/// Answers with the number of the call, or with what it was given.
struct Echo : Behaviour {
  std::any handle(std::string_view method, std::uint64_t seq, const std::any& body) override {
    return method == "seq" ? std::any{seq} : body;
  }
};

}  // namespace

TEST_CASE("an unsupported operation is that error, and the server goes on", "[otp][behaviour]") {
  const auto math = listen<Math>();

  CHECK_THROWS_AS(math.async_call("%", 2).get(), UnsupportedOperation);

  CHECK(math.call<int>("value") == 0);
}

TEST_CASE("an asynchronous addition is seen by the call that comes next", "[otp][behaviour]") {
  const auto math = listen<Math>();

  auto added = math.async_call("+", 2);
  CHECK(math.call<int>("value") == 2);
  added.get();
  math.cast("+", 5);
  math.cast("*", 3);

  CHECK(math.call<int>("value") == 21);
}

TEST_CASE("many threads put and get without locks in the store", "[otp][behaviour]") {
  const auto store = listen<Store>();
  const std::vector<Pair> pairs{{"one", 1}, {"two", 2}, {"three", 3}, {"four", 4}};
  std::vector<int> found(pairs.size());
  std::vector<std::thread> threads;
  for (const Pair& pair : pairs) threads.emplace_back([&] { store.call("put", pair); });
  for (std::thread& thread : threads) thread.join();
  threads.clear();

  for (std::size_t i = 0; i < pairs.size(); ++i) {
    threads.emplace_back([&, i] { found[i] = store.call<int>("get", pairs[i].first); });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(found == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("a call on a closed server fails at once, and touches nothing", "[otp][behaviour]") {
  auto store = listen<Store>();
  store.stop();
  int value = 0;

  auto future = store.async_call<int>("get", "one");
  CHECK(future.is_ready());
  CHECK_THROWS_AS(value = future.get(), ServerGone);
  CHECK_THROWS_AS(value = store.call<int>("get", "one"), ServerGone);

  CHECK(value == 0);
  CHECK_FALSE(store.cast("put", Pair{"one", 1}));
}

TEST_CASE("keys are put, found and deleted, by calls that wait and by others",
          "[otp][behaviour]") {
  const auto store = listen<Store>(std::map<std::string, int>{{"one", -1}, {"two", -2}});

  CHECK(store.call<int>("get", "one") == -1);
  CHECK(store.async_call<int>("get", "two").get() == -2);
  CHECK(store.call<int>("delete", "one") == -1);
  CHECK(store.async_call<int>("delete", "two").get() == -2);
  store.call("put", Pair{"three", -3});
  store.async_call("put", Pair{"four", -4}).get();

  CHECK(store.call<int>("get", "three") == -3);
  CHECK(store.call<int>("get", "four") == -4);
}

TEST_CASE("an error reaches its caller as the exception that it was", "[otp][behaviour]") {
  const auto store = listen<Store>(std::map<std::string, int>{{"one", 1}});

  CHECK_THROWS_AS(store.call<int>("delete", "two"), std::out_of_range);
  CHECK_THROWS_AS(store.async_call<int>("get", "two").get(), std::out_of_range);
  CHECK(thrown<std::invalid_argument>([&] { store.call("put", Pair{"one", 2}); })->what() ==
        std::string{"key exists: one"});
  CHECK_THROWS_AS(store.call("put", 5), std::bad_any_cast);

  CHECK(store.call<int>("get", "one") == 1);
}

TEST_CASE("calls that were queued behind an error are handled", "[otp][behaviour]") {
  const auto math = listen<Math>();
  std::optional<Hold> hold{std::in_place, math};
  auto failing = math.async_call("?");
  auto adding = math.async_call("+", 4);
  auto reading = math.async_call<int>("value");
  hold.reset();

  CHECK_THROWS_AS(failing.get(), UnsupportedOperation);
  CHECK_NOTHROW(adding.get());
  CHECK(reading.get() == 4);
}

TEST_CASE("who asks for the wrong type gets bad_any_cast, and nobody else notices",
          "[otp][behaviour]") {
  const auto store = listen<Store>(std::map<std::string, int>{{"one", 1}});

  const auto error = thrown<WrongResult>([&] { store.call<std::string>("get", "one"); });
  REQUIRE(error.has_value());
  CHECK(std::string{error->what()} == "\"get\" was asked for std::string, but returned int");
  CHECK_THROWS_AS(store.async_call<double>("get", "one").get(), std::bad_any_cast);
  CHECK(thrown<WrongResult>([&] { store.call<int>("put", Pair{"two", 2}); })->what() ==
        std::string{"\"put\" was asked for int, but returned nothing"});

  CHECK(store.call<int>("get", "two") == 2);
}

TEST_CASE("an answer may be dropped, or be taken as it is", "[otp][behaviour]") {
  const auto store = listen<Store>(std::map<std::string, int>{{"one", 1}});

  CHECK_NOTHROW(store.call("get", "one"));
  CHECK_NOTHROW(store.async_call("get", "one").get());
  CHECK(std::any_cast<int>(store.call<std::any>("get", "one")) == 1);
}

TEST_CASE("the wrong type is the caller's affair also where errors end the server",
          "[otp][behaviour]") {
  const ReportLog log;
  auto math = listen<Math>(Options{.on_exception = OnException::crash});

  CHECK_THROWS_AS(math.call<std::string>("value"), WrongResult);
  CHECK(math.call<int>("value") == 0);
  CHECK_THROWS_AS(math.call("?"), ServerGone);

  math.wait();
  CHECK(log.count(Report::Kind::crash) == 1);
}

TEST_CASE("no two calls have the same number", "[otp][behaviour]") {
  const auto echo = listen<Echo>();
  std::vector<std::vector<std::uint64_t>> seen(4);
  std::vector<std::thread> threads;
  for (auto& numbers : seen) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) numbers.push_back(echo.call<std::uint64_t>("seq"));
    });
  }
  for (std::thread& thread : threads) thread.join();

  std::set<std::uint64_t> all;
  for (const auto& numbers : seen) {
    CHECK(std::is_sorted(numbers.begin(), numbers.end()));
    all.insert(numbers.begin(), numbers.end());
  }
  CHECK(all.size() == 400);
}

TEST_CASE("text in quotes is sent as a string, and a std::any as what it holds",
          "[otp][behaviour]") {
  const auto echo = listen<Echo>();
  const std::string text = "text";

  CHECK(echo.call<std::string>("echo", "text") == "text");
  CHECK(echo.call<std::string>("echo", std::string_view{"text"}) == "text");
  CHECK(echo.call<std::string>("echo", text) == "text");
  CHECK(echo.call<int>("echo", std::any{7}) == 7);
  CHECK_FALSE(echo.call<std::any>("echo").has_value());
}

TEST_CASE("an error in a cast is counted, and ends nothing", "[otp][behaviour]") {
  const auto math = listen<Math>();

  CHECK(math.cast("?"));
  CHECK(math.cast("+", "one"));
  math.cast("+", 1);

  CHECK(math.call<int>("value") == 1);
}

TEST_CASE("closing completes all calls that are pending", "[otp][behaviour]") {
  struct Slow : Behaviour {
    explicit Slow(Gate& until) : gate{until} {}
    std::any handle(std::string_view, std::uint64_t, const std::any&) override {
      gate.wait();
      return 1;
    }
    Gate& gate;
  };
  Gate gate;
  auto slow = listen<Slow>(std::ref(gate));
  auto running = slow.async_call<int>("any");
  slow.request_stop();
  auto late = slow.async_call<int>("any");

  gate.open();
  slow.stop();

  CHECK(running.get() == 1);
  CHECK_THROWS_AS(late.get(), ServerGone);
}

TEST_CASE("killing a server that is busy for long lets go who waits for it, and for room",
          "[otp][behaviour]") {
  const ReportLog log;
  auto math = listen<Math>(Options{.mailbox_capacity = 1});
  Hold hold{math};
  auto queued = math.async_call<int>("value");
  GenServer<int> sender{{}, 0};
  auto accepted = sender.async_call([&] { return math.cast("+", 1); });
  const auto waits_for_room = [&] {
    const auto edge = Waiting::current(sender.callee().record());
    return edge && edge->kind == WaitKind::room;
  };
  CHECK(eventually(waits_for_room));

  math.kill();

  CHECK_FALSE(accepted.get());
  CHECK_THROWS_AS(queued.get(), ServerGone);
}

TEST_CASE("a call of a method may give up in time", "[otp][behaviour]") {
  const auto math = listen<Math>();
  const Hold hold{math};

  const auto error = thrown<CallTimeout>([&] { math.call_for<int>(1ms, "value"); });

  REQUIRE(error.has_value());
  CHECK(error->phase() == CallPhase::queued);
}

TEST_CASE("a behaviour is a server in all else", "[otp][behaviour]") {
  auto named = listen<Math>(Options{.name = "math"});
  const auto unnamed = listen<Math>();

  CHECK(named.name() == "math");
  CHECK(has(unnamed.name(), "Math"));
  named.call([](BehaviourState& state) { state.handle("+", 3); });
  named.cast([](BehaviourState& state) { state.handle("+", 4); });
  CHECK(named.call_for(10s, [] { return 5; }) == 5);
  CHECK(named.async_call([] { return 6; }).get() == 6);
  CHECK(named.call<int>("value") == 7);
  named.stop(ExitReason::shutdown());
  CHECK(named.exit_reason() == ExitReason::shutdown());
}

TEST_CASE("what the behaviour's constructor throws reaches who listens", "[otp][behaviour]") {
  struct Broken : Behaviour {
    Broken() { throw std::runtime_error{"no disk"}; }
    std::any handle(std::string_view, std::uint64_t, const std::any&) override { return {}; }
  };

  CHECK_THROWS_AS(listen<Broken>(), std::runtime_error);
}

TEST_CASE("types are named as in the source", "[otp][behaviour]") {
  CHECK(type_of(std::any{}) == "nothing");
  CHECK(type_of(std::any{1}) == "int");
  CHECK(type_of(std::any{std::string{}}) == "std::string");
  CHECK(has(type_of(std::any{Pair{}}), "pair"));
}
