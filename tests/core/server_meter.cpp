// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/server_meter.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/hold.hpp>
#include <support/thrown.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

struct Letter final : Message {
  Letter() : Message{CallSite{}} {}
  void run(void*) override {}
  void refuse(const Refusal&) noexcept override {}
};

/// Returns what a snapshot says of the server.
ServerSnapshot seen(const AnyRef& server) {
  const Snapshot all = snapshot();
  return all.servers.at(all.find(server.pid()).value());
}

/// Lets `count` messages pass, none of which brings a time along.
void handle(ServerMeter& meter, int count) {
  Letter letter;
  for (int i = 0; i < count; ++i) meter.end(meter.begin(letter));
}

}  // namespace

TEST_CASE("a new server has done nothing", "[core][server_meter]") {
  ServerMeter meter;

  meter.reset();

  CHECK(meter.counts().handled == 0);
  CHECK(meter.waiting().count() == 0);
  CHECK(meter.handling().count() == 0);
  CHECK(meter.started() <= ServerMeter::Clock::now());
}

TEST_CASE("the first message is measured", "[core][server_meter]") {
  ServerMeter meter;
  meter.reset();

  handle(meter, 1);

  CHECK(meter.handling().count() == 1);
}

TEST_CASE("the few short messages that are measured stand for nearly all", "[core][server_meter]") {
  ServerMeter meter;
  meter.reset();

  handle(meter, 10000);

  CHECK(meter.handling().count() >= 7000);
  CHECK(meter.handling().count() <= 13000);
}

TEST_CASE("a long message is followed by one that is measured", "[core][server_meter]") {
  ServerMeter meter;
  meter.reset();
  handle(meter, 100);
  const auto before = meter.message_began();

  meter.measure_next();
  handle(meter, 1);

  CHECK(meter.message_began() > before);
}

TEST_CASE("a message that brings its time along tells how long it waited", "[core][server_meter]") {
  ServerMeter meter;
  meter.reset();
  Letter letter;
  ServerMeter::stamp(letter, std::uint32_t{64});
  const auto sent = ServerMeter::sent_at(letter, ServerMeter::Clock::now());

  meter.end(meter.begin(letter));

  CHECK(sent <= ServerMeter::Clock::now());
  CHECK(ServerMeter::Clock::now() - sent < 1h);
  CHECK(meter.waiting().count() == 64);
}

TEST_CASE("who sends to a sleeping server always notes the time, others once in 64",
          "[core][server_meter]") {
  int noted = 0;
  for (int i = 0; i < 6400; ++i) {
    Letter letter;
    ServerMeter::stamp(letter, false);
    noted += letter.link().sent_for != 0 ? 1 : 0;
  }
  Letter letter;
  ServerMeter::stamp(letter, true);

  CHECK(noted >= 50);
  CHECK(noted <= 150);
  CHECK(letter.link().sent_for == 1);
}

TEST_CASE("a message sent later than now, by another processor's clock, was sent now",
          "[core][server_meter]") {
  Letter letter;
  const auto now = ServerMeter::Clock::now();
  ServerMeter::stamp(letter, std::uint32_t{1});

  CHECK(ServerMeter::sent_at(letter, now - 1h) == now - 1h);
}

TEST_CASE("handlers and exceptions are counted", "[core][server_meter]") {
  const GenServer<int> server{{}, 0};

  for (int i = 0; i < 3; ++i) server.call([] {});
  server.cast([] {});
  CHECK_THROWS_AS(server.call([] { throw std::runtime_error{"no"}; }), std::runtime_error);
  server.call([] {});

  CHECK(seen(server).counts.handled >= 5);  // the last one may still be about to be counted
  CHECK(seen(server).counts.handled <= 6);
  CHECK(seen(server).counts.exceptions == 1);
}

TEST_CASE("a guarded call counts once, however often its guard is asked", "[core][server_meter]") {
  const GenServer<int> server{{}, 0};
  std::thread caller{[&] {
    server.call_when([](const int& n) { return n == 20; }, [] {});
  }};

  for (int i = 0; i < 20; ++i) server.call([](int& n) { ++n; });
  caller.join();
  server.call([] {});

  CHECK(seen(server).counts.handled >= 21);
  CHECK(seen(server).counts.handled <= 22);
}

TEST_CASE("what was left before it was handled does not count", "[core][server_meter]") {
  const GenServer<int> server{{}, 0};
  {
    Hold hold{server};
    for (int i = 0; i < 5; ++i) CHECK_THROWS_AS(server.call_for(0s, [] {}), CallTimeout);
  }
  server.call([] {});

  CHECK(seen(server).counts.handled <= 2);
}

TEST_CASE("a guard that throws counts as one exception", "[core][server_meter]") {
  const GenServer<int> server{{}, 0};
  const auto throwing = [](const int&) -> bool { throw std::runtime_error{"no"}; };

  CHECK_THROWS_AS(server.call_when(throwing, [] {}), std::runtime_error);

  CHECK(seen(server).counts.exceptions == 1);
}

TEST_CASE("calls that are given up are counted", "[core][server_meter]") {
  const GenServer<int> server{{}, 0};
  Hold hold{server};

  CHECK_THROWS_AS(server.call_for(0s, [] {}), CallTimeout);
  CHECK_THROWS_AS(server.call_for(1ms, [] {}), CallTimeout);

  CHECK(seen(server).counts.timed_out == 2);
}

TEST_CASE("what a full mailbox refuses and drops is counted", "[core][server_meter]") {
  set_report_sink([](const Report&) {});
  const GenServer<int> failing{{.mailbox_capacity = 1, .on_full = OnFull::fail}, 0};
  const GenServer<int> dropping{{.mailbox_capacity = 1, .on_full = OnFull::drop_oldest}, 0};
  Hold hold_failing{failing};
  Hold hold_dropping{dropping};

  for (int i = 0; i < 3; ++i) {
    failing.cast([] {});
    dropping.cast([] {});
  }

  CHECK(seen(failing).counts.refused == 2);
  CHECK(seen(dropping).counts.dropped == 2);
  set_report_sink(nullptr);
}

TEST_CASE("a sender that has no more time for a full mailbox is counted as refused",
          "[core][server_meter]") {
  const GenServer<int> server{{.mailbox_capacity = 1}, 0};
  Hold hold{server};

  CHECK(server.try_cast([] {}));
  CHECK_FALSE(server.try_cast([] {}));

  CHECK(seen(server).counts.refused == 1);
}
