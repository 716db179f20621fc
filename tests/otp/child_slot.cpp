// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/child_slot.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Number = GenServer<int>;

/// A slot whose supervisor is any server.
struct Place {
  std::shared_ptr<Number> supervisor = start<Number>(Options{.name = "top"}, 0);
  std::shared_ptr<Number> server = start<Number>(Options{.name = "one"}, 1);
  ChildSlot slot{"a", *supervisor};

  bool is_waiting(const Number& who) const {
    return Waiting::current(who.callee().record()).has_value();
  }
  bool wait(Deadline deadline = Deadline::after(1h)) const {
    return slot.wait_until_running(deadline, CallSite::here());
  }
};

}  // namespace

TEST_CASE("a slot shows the server that is in it", "[otp][child_slot]") {
  Place place;
  CHECK(place.slot.status() == ChildStatus::stopped);
  CHECK(place.slot.owner() == nullptr);

  place.slot.set_running(place.server, *place.server);

  CHECK(place.slot.status() == ChildStatus::running);
  CHECK(place.slot.is_running());
  CHECK(place.slot.owner() == place.server);
  CHECK(place.slot.running_owner() == place.server);
  CHECK(place.slot.server() == *place.server);
  CHECK(place.slot.id() == "a");
  CHECK(place.slot.supervisor() == *place.supervisor);
}

TEST_CASE("an empty slot says what the child is doing, and how its last server ended",
          "[otp][child_slot]") {
  Place place;
  const auto words = [&] {
    const auto gone =
        thrown<ServerGone>([&] { static_cast<void>(place.slot.running_owner()); });
    return gone ? std::string{gone->what()} : "";
  };
  CHECK(has(words(), "child \"a\" of top:"));
  CHECK(has(words(), "has no server now, it is stopped"));
  CHECK_FALSE(has(words(), "ended"));

  place.slot.set_running(place.server, *place.server);
  place.slot.set_gone(ChildStatus::restarting, ExitReason::shutdown("upgrade"));

  CHECK(has(words(), "it is restarting; it ended: shutdown: upgrade"));
  CHECK(place.slot.owner() == nullptr);
  CHECK_FALSE(place.slot.server());
}

TEST_CASE("a server that has ended does not run, whatever the slot has heard",
          "[otp][child_slot]") {
  Place place;
  place.slot.set_running(place.server, *place.server);

  place.server->stop();

  CHECK(place.slot.status() == ChildStatus::running);
  CHECK_FALSE(place.slot.is_running());
  CHECK_FALSE(place.wait(Deadline::after(0s)));
}

TEST_CASE("a server that is about to end does not run any more", "[otp][child_slot]") {
  struct Lingering {
    void terminate(const ExitReason&) {
      entered->open();
      left->wait();
    }
    Gate* entered;
    Gate* left;
  };
  Gate entered;
  Gate left;
  Place place;  // owns the server, too
  const auto server = start<GenServer<Lingering>>(Options{}, &entered, &left);
  place.slot.set_running(server, *server);

  server->request_stop();
  entered.wait();

  CHECK(server->is_alive());
  CHECK_FALSE(place.slot.is_running());
  CHECK_FALSE(place.wait(Deadline::after(0s)));
  left.open();
}

TEST_CASE("who waits is woken by a server, and by there never being one",
          "[otp][child_slot]") {
  const bool comes = GENERATE(true, false);
  Place place;
  Number waiting{{}, 0};
  Future<bool> found = waiting.async_call([&] { return place.wait(); });
  REQUIRE(eventually([&] { return place.is_waiting(waiting); }));

  place.slot.set_gone(ChildStatus::restarting, ExitReason::normal());  // nothing new
  CHECK_FALSE(found.is_ready());
  if (comes) {
    place.slot.set_running(place.server, *place.server);
  } else {
    place.slot.set_gone(ChildStatus::removed, ExitReason::normal());
  }

  CHECK(found.get() == comes);
  CHECK_FALSE(place.is_waiting(waiting));
}

TEST_CASE("who waits is woken by the end of the supervisor", "[otp][child_slot]") {
  const ReportLog log;
  Place place;
  Number waiting{{}, 0};
  Future<bool> found = waiting.async_call([&] { return place.wait(); });
  REQUIRE(eventually([&] { return place.is_waiting(waiting); }));

  place.supervisor->stop();

  CHECK_FALSE(found.get());
  CHECK_FALSE(place.wait());  // later, too
}

TEST_CASE("who waits leaves at the deadline, or by an exit signal", "[otp][child_slot]") {
  Place place;
  CHECK_FALSE(place.wait(Deadline::after(1ms)));
  Number waiting{{}, 0};
  Future<bool> found = waiting.async_call([&] { return place.wait(); });
  REQUIRE(eventually([&] { return place.is_waiting(waiting); }));

  waiting.exit(ExitReason::shutdown());

  CHECK_THROWS_AS(found.get(), ServerGone);
  place.slot.set_running(place.server, *place.server);  // nobody is there to be woken
  CHECK(place.wait());
}

TEST_CASE("the supervisor, and whom it waits for, get Deadlock for waiting",
          "[otp][child_slot]") {
  const ReportLog log;
  Place place;
  Number other{{}, 0};

  CHECK_THROWS_AS(place.supervisor->call([&] { return place.wait(); }), Deadlock);
  CHECK_THROWS_AS(place.supervisor->call([&] { other.call([&] { return place.wait(); }); }),
                  Deadlock);
  CHECK(log.count(Report::Kind::deadlock) == 2);
}

TEST_CASE("many may wait while servers come and go", "[otp][child_slot]") {
  Place place;
  std::atomic<int> left{0};
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      while (place.slot.status() != ChildStatus::removed) {
        place.wait(Deadline::after(10ms));
        const auto gone =
            thrown<ServerGone>([&] { static_cast<void>(place.slot.running_owner()); });
        if (gone && has(gone->what(), "it is running")) left = -1000;
      }
      ++left;
    });
  }

  for (int n = 0; n < 300; ++n) {
    place.slot.set_running(place.server, *place.server);
    place.slot.set_gone(ChildStatus::restarting, ExitReason::normal());
  }
  place.slot.set_gone(ChildStatus::removed, ExitReason::normal());
  for (std::thread& thread : threads) thread.join();

  CHECK(left == 4);
}
