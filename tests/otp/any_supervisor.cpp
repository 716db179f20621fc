// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/any_supervisor.hpp>

#include <genserver/core/snapshot.hpp>
#include <genserver/otp/dynamic_supervisor.hpp>
#include <genserver/otp/supervisor.hpp>
#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Number = GenServer<int>;

/// What threads do to one supervisor, at random; all errors of the library are fine.
class Turmoil {
 public:
  Turmoil(const std::function<void(unsigned)>& act, unsigned seed, int steps) {
    for (unsigned n = 0; n < 4; ++n) {
      threads_.emplace_back([act, seed, steps, n] {
        std::minstd_rand random{seed * 4 + n + 1};
        for (int step = 0; step < steps; ++step) {
          try {
            act(static_cast<unsigned>(random()));
          } catch (const Error&) {  // gone, running, not found: as it may be
          }
        }
      });
    }
  }
  ~Turmoil() {
    for (std::thread& thread : threads_) thread.join();
  }
  Turmoil(const Turmoil&) = delete;
  Turmoil& operator=(const Turmoil&) = delete;

 private:
  std::vector<std::thread> threads_{};
};

/// A State that is counted, and whose making fails from time to time.
struct Counted {
  explicit Counted(std::atomic<int>* of) : alive{of} {
    static std::atomic<unsigned> made{0};
    if (++made % 7 == 0) throw std::runtime_error{"not now"};
    ++*alive;
  }
  ~Counted() { --*alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  std::atomic<int>* alive;
};
using Counting = GenServer<Counted>;

template <class Enum>
Enum one_of_three(unsigned random) {
  return static_cast<Enum>(random % 3);
}

void end_somehow(const Counting& child, unsigned how) {
  switch (how % 4) {
    case 0: child.request_stop(); break;
    case 1: child.kill(); break;
    case 2: child.exit(ExitReason::shutdown()); break;
    default: child.cast([] { throw std::runtime_error{"crashed"}; }); break;
  }
}

void act_on(Supervisor& supervisor, std::atomic<int>* alive, unsigned random) {
  const std::string id = std::to_string(random / 16 % 6);
  switch (random % 16) {
    case 0: supervisor.terminate_child(id); break;
    case 1: supervisor.restart_child(id); break;
    case 2: supervisor.delete_child(id); break;
    case 3: static_cast<void>(supervisor.children()); break;
    case 4: static_cast<void>(supervisor.count_children()); break;
    case 5: supervisor.child<Counting>(id).wait_until_running(1ms); break;
    case 6:
    case 7:
    case 8:
    case 9:
      supervisor.start_child<Counting>(
          {.id = id, .restart = one_of_three<Restart>(random / 128)}, Options{}, alive);
      break;
    default: end_somehow(*supervisor.child<Counting>(id).operator->(), random / 128); break;
  }
}

}  // namespace

TEST_CASE("supervisors of both kinds are used alike", "[otp][any_supervisor]") {
  const auto use = [](const AnySupervisor& supervisor) {
    const Child<Number> child = supervisor.start_child<Number>({.id = "a"}, Options{}, 7);
    CHECK(supervisor.children().size() == 1);
    CHECK(supervisor.which_children()[0].server == child.ref());
    CHECK(supervisor.count_children() == ChildCounts{1, 1, 0, 1});
    CHECK(supervisor.stop_limit()->get().is_never());
    return child->call([](int& n) { return n; });
  };

  CHECK(use(Supervisor{}) == 7);
  CHECK(use(DynamicSupervisor{}) == 7);
}

TEST_CASE("a child may ask its supervisor for another child", "[otp][any_supervisor]") {
  Supervisor supervisor{};
  const auto a = supervisor.start_child<Number>({.id = "a"}, Options{}, 1);

  const auto b = a->call([&] {
    return supervisor.start_child<Number>({.id = "b"}, Options{}, 2);
  });

  CHECK(b->call([](int& n) { return n; }) == 2);
  CHECK(supervisor.children().size() == 2);
}

TEST_CASE("a child that stops its own supervisor ends with it", "[otp][any_supervisor]") {
  const ReportLog log;
  Supervisor supervisor{};
  const auto a = supervisor.start_child<Number>({.id = "a", .shutdown = Shutdown::infinity()},
                                                Options{}, 1);
  const AnyRef server = a.ref();
  const AnyRef top = supervisor;

  a->cast([top] { top.stop(); });  // left by the exit signal
  server.wait();
  top.wait();

  CHECK(server.exit_reason() == ExitReason::shutdown());
  CHECK(top.exit_reason() == ExitReason::normal());
}

TEST_CASE("a reference to a supervisor may stop it", "[otp][any_supervisor]") {
  Supervisor supervisor{};
  const auto a = supervisor.start_child<Number>({.id = "a"}, Options{}, 1);
  const ServerRef<SupervisorState> ref = supervisor.ref();

  ref.stop();

  CHECK_FALSE(a.is_running());
  CHECK_THROWS_AS(supervisor.children(), ServerGone);
}

TEST_CASE("whatever threads do to a supervisor, it ends with all its children",
          "[otp][any_supervisor]") {
  const ReportLog log;
  for (unsigned seed = 1; seed <= 6; ++seed) {
    std::atomic<int> alive{0};
    {
      const auto strategy = one_of_three<Strategy>(seed);
      Supervisor supervisor{{.strategy = strategy, .max_restarts = 1000000}};
      {
        Turmoil turmoil{[&](unsigned random) { act_on(supervisor, &alive, random); }, seed, 60};
        if (seed % 2 == 0) supervisor.request_stop();
      }
      supervisor.stop();
    }
    CHECK(eventually([&] { return alive == 0; }));  // a killed one may take a moment more
  }
}

TEST_CASE("whatever threads do to a dynamic supervisor, it ends with all its children",
          "[otp][any_supervisor]") {
  const ReportLog log;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    std::atomic<int> alive{0};
    {
      DynamicSupervisor supervisor{{.max_restarts = 1000000, .max_children = 5}};
      const auto act = [&](unsigned random) {
        const auto child = supervisor.start_child<Counting>(
            {.restart = one_of_three<Restart>(random)}, Options{}, &alive);
        if (random % 5 == 0) end_somehow(*child.operator->(), random / 16);
        if (random % 5 < 4) supervisor.terminate_child(child);
      };
      Turmoil turmoil{act, seed, 40};
      if (seed % 2 == 0) supervisor.stop();
    }
    CHECK(eventually([&] { return alive == 0; }));
  }
}

TEST_CASE("a supervisor that is killed at any moment leaves no child behind",
          "[otp][any_supervisor][stress][.stress]") {
  const ReportLog log;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::atomic<int> alive{0};
    {
      auto supervisor = start<Supervisor>(
          SupervisorOptions{.strategy = one_of_three<Strategy>(seed), .max_restarts = 1000000});
      Turmoil turmoil{[&](unsigned random) { act_on(*supervisor, &alive, random); }, seed, 40};
      for (unsigned n = 0; n < seed % 40; ++n) std::this_thread::yield();
      supervisor->kill();
    }
    REQUIRE(eventually([&] { return alive == 0; }));
  }
}
