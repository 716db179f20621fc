// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/future.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using genserver::Future;
using genserver::GenServer;
using genserver::InvalidArgument;
using genserver::Reply;
using genserver::SelfWait;
using genserver::ServerGone;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Keeps reports that a test brings about from stderr as long as it lives.
struct Quiet {
  Quiet() {
    genserver::set_report_sink([](const genserver::Report&) {});
  }
  ~Quiet() { genserver::set_report_sink({}); }
};

const auto value = [](int& n) { return n; };

}  // namespace

TEST_CASE("an async call does not wait, its future does", "[core][future]") {
  Gate gate;
  GenServer<int> server{{}, 7};

  Future<int> future = server.async_call([&gate](int& n) {
    gate.wait();
    return n;
  });
  const bool is_ready_before = future.is_ready();
  gate.open();

  CHECK_FALSE(is_ready_before);
  CHECK(future.get() == 7);
}

TEST_CASE("async calls and casts of one thread are handled in order", "[core][future]") {
  GenServer<int> server{{}, 1};

  server.cast([](int& n) { n += 9; });
  Future<int> sum = server.async_call([](int& n) { return n *= 2; });
  server.cast([](int& n) { n = 0; });

  CHECK(sum.get() == 20);
  CHECK(server.call(value) == 0);
}

TEST_CASE("the exception of an async call reaches who asks for the answer", "[core][future]") {
  GenServer<int> server{{}, 0};

  Future<int> future = server.async_call([]() -> int { throw std::out_of_range{"no such key"}; });
  const auto error = thrown<std::out_of_range>([&] { future.get(); });

  REQUIRE(error.has_value());
  CHECK(std::string{error->what()} == "no such key");
  CHECK(server.is_alive());
}

TEST_CASE("a future is asked once", "[core][future]") {
  GenServer<int> server{{}, 7};
  Future<int> future = server.async_call(value);
  const bool is_valid_before = future.valid();

  future.get();

  CHECK(is_valid_before);
  CHECK_FALSE(future.valid());
  CHECK_THROWS_AS(future.get(), InvalidArgument);
}

TEST_CASE("a future whose answer was an exception is used up too", "[core][future]") {
  GenServer<int> server{{}, 7};
  Future<int> future = server.async_call([]() -> int { throw 42; });

  CHECK_THROWS_AS(future.get(), int);

  CHECK_FALSE(future.valid());
}

TEST_CASE("an empty future refuses every use", "[core][future]") {
  Future<int> empty;

  CHECK_FALSE(empty.valid());
  CHECK_THROWS_AS(empty.get(), InvalidArgument);
  CHECK_THROWS_AS(empty.wait(), InvalidArgument);
  CHECK_THROWS_AS(empty.wait_for(0s), InvalidArgument);
  CHECK_THROWS_AS(empty.wait_until(Clock::now()), InvalidArgument);
  CHECK_THROWS_AS(empty.is_ready(), InvalidArgument);
}

TEST_CASE("a wait that is over its time leaves the answer for later", "[core][future]") {
  Gate gate;
  GenServer<int> server{{}, 7};
  Future<int> future = server.async_call([&gate](int& n) {
    gate.wait();
    return n;
  });
  const auto before = Clock::now();

  const bool poll = future.wait_for(0s);
  const bool short_wait = future.wait_for(20ms);
  const auto waited = Clock::now() - before;
  const bool past = future.wait_until(before);
  gate.open();
  const bool long_wait = future.wait_for(1h);

  CHECK_FALSE(poll);
  CHECK_FALSE(short_wait);
  CHECK(waited >= 20ms);
  CHECK_FALSE(past);
  CHECK(long_wait);
  CHECK(future.get() == 7);
}

TEST_CASE("a future can be waited for again and again", "[core][future]") {
  GenServer<int> server{{}, 7};
  const Future<int> future = server.async_call(value);

  future.wait();
  future.wait();

  CHECK(future.is_ready());
  CHECK(future.wait_for(0s));
  CHECK(future.wait_until(Clock::time_point{}));
}

TEST_CASE("a wait refuses a negative time", "[core][future]") {
  GenServer<int> server{{}, 7};
  Future<int> future = server.async_call(value);

  const auto error = thrown<InvalidArgument>([&] { future.wait_for(-1ms); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "future.cpp"));
  CHECK(future.get() == 7);
}

TEST_CASE("an async call of an ended server is answered at once, when one asks", "[core][future]") {
  GenServer<int> server{{.name = "ended"}, 0};
  server.stop(genserver::ExitReason::shutdown("upgrade"));
  int target = 5;

  Future<void> future = server.async_call([&target] { target = 6; });
  const unsigned line = __LINE__ - 1;
  const bool is_ready = future.is_ready();
  const auto error = thrown<ServerGone>([&] { future.get(); });

  CHECK(is_ready);
  REQUIRE(error.has_value());
  CHECK(error->reason() == genserver::ExitReason::shutdown("upgrade"));
  CHECK(has(error->what(), "ended"));
  CHECK(has(error->what(), "future.cpp:" + std::to_string(line)));
  CHECK(target == 5);
}

TEST_CASE("an async call of a server that crashes tells the reason", "[core][future]") {
  const Quiet quiet;
  GenServer<int> server{{}, 0};
  Reply<int> kept;
  Future<int> future =
      server.async_call<int>([&](int&, Reply<int> reply) { kept = std::move(reply); });
  server.cast([] { throw std::runtime_error{"crashed"}; });

  const auto error = thrown<ServerGone>([&] { future.get(); });
  server.stop();

  REQUIRE(error.has_value());
  CHECK(error->reason().what() == "exception: crashed");
}

TEST_CASE("a future that is dropped does not take back its request", "[core][future]") {
  GenServer<int> server{{}, 0};

  static_cast<void>(server.async_call([](int& n) { n = 3; }));

  CHECK(server.call(value) == 3);
}

TEST_CASE("a future may be moved, also to another thread", "[core][future]") {
  GenServer<int> server{{}, 7};
  Future<int> first = server.async_call(value);
  std::atomic<int> answer{0};

  Future<int> second = std::move(first);
  std::thread other{[&answer, third = std::move(second)]() mutable { answer = third.get(); }};
  other.join();

  CHECK_FALSE(first.valid());
  CHECK_FALSE(second.valid());
  CHECK(answer == 7);
}

TEST_CASE("a future holds what can only be moved", "[core][future]") {
  GenServer<int> server{{}, 7};

  auto future = server.async_call(
      [owned = std::make_unique<int>(1)](int& n) { return std::make_unique<int>(n + *owned); });

  CHECK(*future.get() == 8);
}

TEST_CASE("a server does not wait for its own answer, and the future stays valid",
          "[core][future]") {
  GenServer<int> server{{.name = "own"}, 7};
  Future<int> future;

  const auto error = thrown<SelfWait>([&] {
    server.call([&] {
      future = server.async_call(value);
      future.get();
    });
  });
  const bool is_valid = future.valid();

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "own"));
  CHECK(has(error->what(), "future.cpp"));
  CHECK(is_valid);
  CHECK(future.get() == 7);
}

TEST_CASE("a server may look at its own answer when it is there", "[core][future]") {
  GenServer<int> server{{}, 7};
  Future<int> future;

  server.call([&] { future = server.async_call(value); });
  const int answer = server.call([&] { return future.get(); });

  CHECK(answer == 7);
}

TEST_CASE("a server may wait for the answer of another one", "[core][future]") {
  GenServer<int> bank{{}, 7};
  GenServer<int> shop{{}, 0};

  const int answer = shop.call([&] { return bank.async_call(value).get(); });

  CHECK(answer == 7);
}

TEST_CASE("servers that wait for each other's answers are told of the deadlock", "[core][future]") {
  const Quiet quiet;
  GenServer<int> first{{.name = "first"}, 0};
  GenServer<int> second{{.name = "second"}, 0};
  const auto ask_first = [&] { first.async_call(value).get(); };
  const auto ask_second = [&] { second.async_call(ask_first).get(); };

  const auto error = thrown<genserver::Deadlock>([&] { first.call(ask_second); });

  REQUIRE(error.has_value());
  CHECK(error->cycle().size() == 2);
  CHECK(first.is_alive());
  CHECK(second.is_alive());
}

TEST_CASE("answers come in the order in which they are given", "[core][future]") {
  GenServer<std::vector<Reply<int>>> server{{}};
  const auto park = [](std::vector<Reply<int>>& parked, Reply<int> reply) {
    parked.push_back(std::move(reply));
  };
  std::vector<Future<int>> futures;
  for (int n = 0; n < 3; ++n) futures.push_back(server.async_call<int>(park));

  server.call([](std::vector<Reply<int>>& parked) { parked[2].reply(20); });
  const bool early[] = {futures[0].is_ready(), futures[1].is_ready(), futures[2].is_ready()};
  server.call([](std::vector<Reply<int>>& parked) {
    parked[0].reply(0);
    parked[1].reply(10);
  });

  CHECK_FALSE(early[0]);
  CHECK_FALSE(early[1]);
  CHECK(early[2]);
  for (int n = 0; n < 3; ++n) CHECK(futures[static_cast<std::size_t>(n)].get() == 10 * n);
}

TEST_CASE("many threads get the answers to their own requests", "[core][future]") {
  GenServer<int> server{{.mailbox_capacity = 4}, 0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;

  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&server, &wrong, client] {
      for (int n = 0; n < 100; ++n) {
        const int own = client * 1000 + n;
        wrong += server.async_call([own] { return own; }).get() == own ? 0 : 1;
      }
    });
  }
  for (std::thread& client : clients) client.join();

  CHECK(wrong == 0);
}
