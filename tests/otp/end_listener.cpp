// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/end_listener.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/gate.hpp>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

/// An end of a service with this name.
ServiceEnd end_of(const std::string& name, const ExitReason& reason = ExitReason::normal()) {
  return {Service{name, [](ServiceContext&) {}}, ServiceStage::run, reason};
}

const auto broken = [] {
  return ExitReason::exception(std::make_exception_ptr(std::runtime_error{"broken"}));
};

}  // namespace

TEST_CASE("a listener keeps ends in their order", "[otp][end_listener]") {
  const EndListener ends;

  ends(end_of("first"));
  ends(end_of("second", broken()));

  CHECK(ends.size() == 2);
  CHECK(ends.take().service.name() == "first");
  CHECK(ends.take().reason.what() == "exception: broken");
  CHECK_FALSE(ends.try_take().has_value());
}

TEST_CASE("copies of a listener share one queue", "[otp][end_listener]") {
  const EndListener ends;
  const std::function<void(const ServiceEnd&)> copy = ends;

  copy(end_of("ticker"));

  CHECK(ends.try_take().has_value());
}

TEST_CASE("a full listener drops what comes, and counts it", "[otp][end_listener]") {
  const EndListener ends{2};
  for (const char* name : {"a", "b", "c", "d"}) ends(end_of(name));

  CHECK(ends.dropped() == 2);
  CHECK(ends.take().service.name() == "a");
  ends(end_of("e"));
  CHECK(ends.take().service.name() == "b");
  CHECK(ends.take().service.name() == "e");
  CHECK(ends.dropped() == 2);
  CHECK_THROWS_AS(EndListener{0}, InvalidArgument);
}

TEST_CASE("a listener of failures leaves out what was wanted", "[otp][end_listener]") {
  const FailureListener failures{1};

  failures(end_of("halted"));
  failures(end_of("shut down", ExitReason::shutdown()));
  failures(end_of("failed", broken()));
  failures(end_of("killed", ExitReason::killed()));

  CHECK(failures.take().service.name() == "failed");
  CHECK(failures.dropped() == 1);
}

TEST_CASE("taking waits for an end, or for its time, or for a wish to stop",
          "[otp][end_listener]") {
  const EndListener ends;
  CHECK_FALSE(ends.take_for(1ms).has_value());
  CHECK_FALSE(ends.take_for(0s).has_value());

  StopSource stop;
  std::thread stopping{[&] { stop.request_stop(); }};
  CHECK_FALSE(ends.take(stop.get_token()).has_value());
  stopping.join();

  std::thread ending{[&] { ends(end_of("ticker")); }};
  CHECK(ends.take().service.name() == "ticker");
  ending.join();
}

TEST_CASE("a handler that takes leaves with an exit signal", "[otp][end_listener]") {
  const EndListener ends;
  GenServer<int> server{{}, 0};
  Gate entered;
  server.cast([&] {
    entered.open();
    static_cast<void>(ends.take());
  });
  entered.wait();

  server.exit(ExitReason::shutdown());
  server.wait();

  CHECK(server.exit_reason() == ExitReason::shutdown());
}

TEST_CASE("trying to take returns also in a handler with an exit signal", "[otp][end_listener]") {
  const EndListener ends;
  GenServer<int> server{{}, 0};
  Gate entered;
  std::optional<bool> has_taken;
  server.cast([&] {
    entered.open();
    while (!self_stop_token().stop_requested()) std::this_thread::yield();
    has_taken = ends.try_take().has_value();
  });
  entered.wait();

  server.exit(ExitReason::shutdown());
  server.wait();

  CHECK(has_taken == false);
}

TEST_CASE("each end is taken once, whoever takes", "[otp][end_listener]") {
  const EndListener ends{1000};
  std::vector<std::size_t> taken(3);
  std::vector<std::thread> threads;
  for (std::size_t& count : taken) {
    threads.emplace_back([&] {
      while (ends.take().reason == ExitReason::normal()) ++count;
    });
  }
  const ServiceEnd end = end_of("one");

  for (int i = 0; i < 300; ++i) ends(end);
  for (int i = 0; i < 3; ++i) ends(end_of("last", ExitReason::shutdown()));
  for (std::thread& thread : threads) thread.join();

  CHECK(taken[0] + taken[1] + taken[2] == 300);
  CHECK(ends.size() == 0);
}
