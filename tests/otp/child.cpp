// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/child.hpp>

#include <genserver/otp/supervisor.hpp>
#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

class Counter : public GenServer<int> {
 public:
  explicit Counter(std::shared_ptr<std::atomic<int>> alive = nullptr)
      : GenServer({.name = "counter"}, 0), alive_{std::move(alive)} {
    if (alive_) ++*alive_;
  }
  ~Counter() override {
    if (alive_) --*alive_;
  }
  int increment() {
    return call([](int& n) { return ++n; });
  }
  void crash() {
    cast([] { throw std::runtime_error{"crashed"}; });
  }

 private:
  std::shared_ptr<std::atomic<int>> alive_;
};

const SupervisorOptions patient{.back_off = BackOff{.first = 1h, .longest = 1h}};

/// A child whose first owner somebody keeps.
struct Keeping {
  const ReportLog log{};
  const std::shared_ptr<std::atomic<int>> alive = std::make_shared<std::atomic<int>>(0);
  Supervisor supervisor{};
  const Child<Counter> child = supervisor.start_child<Counter>({.id = "a"}, alive);
  std::shared_ptr<Counter> kept = child.lock();
};

/// Lets the child crash, and the supervisor see that.
void crash(const Supervisor& supervisor, const Child<Counter>& child) {
  const auto server = child.ref();
  child->crash();
  server.wait();
  static_cast<void>(supervisor.children());
}

std::string words_of(const Child<Counter>& child) {
  const auto gone = thrown<ServerGone>([&] { child->increment(); });
  return gone ? gone->what() : "";
}

}  // namespace

TEST_CASE("a child is used as a pointer to its server, also to the next one", "[otp][child]") {
  const ReportLog log;
  Supervisor supervisor{};
  const auto child = supervisor.start_child<Counter>({.id = "visits"});
  CHECK(child->increment() == 1);
  CHECK(child->increment() == 2);

  crash(supervisor, child);

  CHECK(child->increment() == 1);
  CHECK(child.status() == ChildStatus::running);
  CHECK(child.id() == "visits");
  CHECK(child.supervisor() == supervisor);
}

TEST_CASE("while a child is being restarted its use says so", "[otp][child]") {
  const ReportLog log;
  Supervisor supervisor{patient};
  const auto child = supervisor.start_child<Counter>({.id = "visits"});

  crash(supervisor, child);

  CHECK(child.status() == ChildStatus::restarting);
  CHECK_FALSE(child.is_running());
  CHECK(child.lock() == nullptr);
  CHECK(has(words_of(child), "it is restarting; it ended: exception: crashed"));
  CHECK_THROWS_AS(child.ref(), ServerGone);
  const auto gone = thrown<ServerGone>([&] { child->increment(); });
  CHECK(gone->reason().what() == "exception: crashed");
}

TEST_CASE("a stopped child, a removed one, and one without supervisor say so", "[otp][child]") {
  Child<Counter> child;
  {
    Supervisor supervisor{};
    child = supervisor.start_child<Counter>({.id = "a"});
    supervisor.terminate_child("a");
    CHECK(has(words_of(child), "it is stopped; it ended: shutdown"));
    supervisor.delete_child("a");
    CHECK(has(words_of(child), "it is removed"));
    CHECK_FALSE(child.wait_until_running(1h));
    child = supervisor.start_child<Counter>({.id = "a"});
  }

  CHECK(child.status() == ChildStatus::removed);
  CHECK(has(words_of(child), "it is removed; it ended: shutdown"));
  CHECK_FALSE(child.wait_until_running(1h));
  CHECK(child.supervisor().name() == "supervisor");
}

TEST_CASE("a handle that was given no child is empty", "[otp][child]") {
  const Child<Counter> empty;

  CHECK_FALSE(empty);
  CHECK_THROWS_AS(empty.status(), InvalidArgument);
  CHECK_THROWS_AS(empty->increment(), InvalidArgument);
  CHECK_THROWS_AS(empty.lock(), InvalidArgument);
  CHECK_THROWS_AS(empty.wait_until_running(1s), InvalidArgument);
  CHECK(empty == Child<Counter>{});
}

TEST_CASE("handles to the same child are equal", "[otp][child]") {
  Supervisor supervisor{};
  const auto a = supervisor.start_child<Counter>({.id = "a"});
  const auto b = supervisor.start_child<Counter>({.id = "b"});
  const Child<Counter> copy = a;

  CHECK(a == copy);
  CHECK(a == supervisor.child<Counter>("a"));
  CHECK(a != b);
  supervisor.terminate_child("a");
  supervisor.delete_child("a");
  CHECK(supervisor.start_child<Counter>({.id = "a"}) != a);  // another child with that id
}

TEST_CASE("a call that runs when its server ends fails with the reason, and is not repeated",
          "[otp][child]") {
  const ReportLog log;
  Supervisor supervisor{};
  const auto child = supervisor.start_child<Counter>({.id = "a"});
  std::atomic<int> runs{0};

  const auto gone = thrown<ServerGone>([&] {
    child->call([&](int&) {
      ++runs;
      throw Exit{ExitReason::exception(std::make_exception_ptr(std::runtime_error{"broken"}))};
    });
  });
  REQUIRE(child.wait_until_running(10s));

  REQUIRE(gone);
  CHECK(gone->reason().what() == "exception: broken");
  CHECK(child->increment() == 1);
  CHECK(runs == 1);
}

TEST_CASE("who keeps the owner delays its destructor, but not the restart", "[otp][child]") {
  Keeping first;

  crash(first.supervisor, first.child);

  CHECK(*first.alive == 2);
  CHECK(first.child->increment() == 1);
  CHECK_THROWS_AS(first.kept->increment(), ServerGone);
  first.kept.reset();
  CHECK(*first.alive == 1);
  first.supervisor.stop();
  CHECK(*first.alive == 0);
}

TEST_CASE("an owner may be dropped last in the handler of the next server", "[otp][child]") {
  Keeping first;
  crash(first.supervisor, first.child);

  first.child->call([&](int&) { first.kept.reset(); });

  CHECK(*first.alive == 1);
}

TEST_CASE("waiting for a child ends when it runs, or the time is up", "[otp][child]") {
  const ReportLog log;
  Supervisor supervisor{patient};
  const auto child = supervisor.start_child<Counter>({.id = "a"});
  CHECK(child.wait_until_running(0s));
  crash(supervisor, child);
  CHECK_FALSE(child.wait_until_running(0s));
  CHECK_FALSE(child.wait_until_running(1ms));
  GenServer<int> waiting{{}, 0};
  Future<bool> found = waiting.async_call([&] { return child.wait_until_running(1h); });
  REQUIRE(eventually([&] { return Waiting::current(waiting.callee().record()).has_value(); }));

  supervisor.terminate_child("a");
  supervisor.restart_child("a");

  CHECK(found.get());
}

TEST_CASE("a sibling that waits for a child does not keep its supervisor", "[otp][child]") {
  const ReportLog log;
  Supervisor supervisor{patient};
  const auto child = supervisor.start_child<Counter>({.id = "a"});
  crash(supervisor, child);
  const auto sibling =
      supervisor.start_child<Counter>({.id = "b", .shutdown = Shutdown::infinity()});
  const std::shared_ptr<Counter> owner = sibling.lock();
  Future<bool> found = owner->async_call([&] { return child.wait_until_running(1h); });
  REQUIRE(eventually([&] { return Waiting::current(owner->callee().record()).has_value(); }));

  supervisor.stop();

  CHECK_THROWS_AS(found.get(), ServerGone);
  CHECK(owner->exit_reason() == ExitReason::shutdown());
}

TEST_CASE("many threads may use a child while it crashes again and again", "[otp][child]") {
  const ReportLog log;
  Supervisor supervisor{{.max_restarts = 1000000}};
  const auto child = supervisor.start_child<Counter>({.id = "a"});
  std::atomic<bool> is_over{false};
  std::atomic<int> wrong{0};
  std::atomic<int> done{0};
  const auto use = [&] {
    try {
      if (child->increment() < 1) ++wrong;
      ++done;
    } catch (const ServerGone&) {
      if (!child.wait_until_running(10s)) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (int n = 0; n < 3; ++n) threads.emplace_back([&] { while (!is_over) use(); });

  for (int n = 0; n < 100; ++n) crash(supervisor, child);
  CHECK(eventually([&] { return done > 0; }));
  is_over = true;
  for (std::thread& thread : threads) thread.join();

  CHECK(wrong == 0);
  CHECK(child->increment() >= 1);
}
