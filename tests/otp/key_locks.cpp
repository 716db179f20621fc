// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/key_locks.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Locks = KeyLocks<std::string>;

const CallSite site = CallSite::here();

}  // namespace

TEST_CASE("under one key one function runs at a time", "[otp][key_locks]") {
  Locks locks;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  int sum = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 200; ++n) {
        locks.with_lock("key", [&] {
          if (++inside > 1) most = 2;
          ++sum;
          --inside;
        }, site);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(sum == 800);
  CHECK(most == 0);
}

TEST_CASE("other keys do not wait", "[otp][key_locks]") {
  Locks locks;

  const int result = locks.with_lock("outer", [&] {
    return locks.with_lock("inner", [] { return 7; }, site);
  }, site);

  CHECK(result == 7);
}

TEST_CASE("the lock is let go when the function throws", "[otp][key_locks]") {
  Locks locks;

  CHECK_THROWS_AS(locks.with_lock("key", [] { throw std::runtime_error{"no"}; }, site),
                  std::runtime_error);

  CHECK(locks.with_lock("key", [] { return 1; }, site) == 1);
}

TEST_CASE("who holds a key cannot take it again", "[otp][key_locks]") {
  Locks locks;

  locks.with_lock("key", [&] {
    CHECK_THROWS_AS(locks.with_lock("key", [] {}, site), SelfWait);
  }, site);

  CHECK(locks.with_lock("key", [] { return 1; }, site) == 1);
}

TEST_CASE("a wait for a server that holds the key is an edge of the wait graph",
          "[otp][key_locks]") {
  const ReportLog log;
  Locks locks;
  GenServer<int> holder{{.name = "holder"}, 0};
  GenServer<int> waiter{{.name = "waiter"}, 0};
  Gate is_held;
  Gate waits;
  auto held = holder.async_call([&] {
    return locks.with_lock("key", [&] {
      is_held.open();
      waits.wait();
      try {
        waiter.call([] {});
      } catch (const Deadlock& deadlock) {
        return deadlock.cycle().size();
      }
      return std::size_t{0};
    }, site);
  });
  is_held.wait();
  auto waited = waiter.async_call([&] { return locks.with_lock("key", [] { return 5; }, site); });
  const auto is_waiting = [&] {
    const Snapshot all = snapshot();
    const auto& edge = all.servers.at(all.find(waiter.pid()).value()).waits_for;
    return edge && edge->kind == WaitKind::lock && edge->target_pid == holder.pid();
  };
  CHECK(eventually(is_waiting));
  waits.open();

  CHECK(held.get() == 2);
  CHECK(waited.get() == 5);
}

TEST_CASE("an edge ends with the lock, not with the waking of who waited", "[otp][key_locks]") {
  const ReportLog log;
  Locks locks;
  GenServer<int> first{{.name = "first"}, 0};
  GenServer<int> second{{.name = "second"}, 0};
  for (int round = 0; round < 300; ++round) {
    auto waited = second.async_call([&] { locks.with_lock("key", [] {}, site); });
    first.call([&] {
      locks.with_lock("key", [] {}, site);
      second.call([] {});  // no deadlock, though second may not know yet that it has the key
    });
    waited.get();
  }

  CHECK(log.count(Report::Kind::deadlock) == 0);
}

TEST_CASE("an exit signal ends the wait for a key", "[otp][key_locks]") {
  Locks locks;
  GenServer<int> waiter{{}, 0};
  locks.with_lock("key", [&] {
    Gate entered;
    waiter.cast([&] {
      entered.open();
      locks.with_lock("key", [] {}, site);
    });
    entered.wait();
    waiter.exit(ExitReason::shutdown());
    waiter.wait();
  }, site);

  CHECK(waiter.exit_reason() == ExitReason::shutdown());
  CHECK(locks.with_lock("key", [] { return 1; }, site) == 1);
}

TEST_CASE("the function may change the key that it was given", "[otp][key_locks]") {
  Locks locks;
  std::string key = "before";

  locks.with_lock(key, [&] { key = "after"; }, site);

  CHECK(locks.with_lock("before", [] { return 1; }, site) == 1);
  CHECK(locks.with_lock("after", [] { return 2; }, site) == 2);
}
