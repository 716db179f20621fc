// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/exit_watchers.hpp>

#include <support/catch.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

using namespace genserver;

namespace {

struct Watcher final : ExitWatcher {
  explicit Watcher(std::function<void(const ExitedServer&)> function)
      : tell{std::move(function)} {}
  void on_exit(const ExitedServer& server) noexcept override { tell(server); }
  std::function<void(const ExitedServer&)> tell;
};

std::shared_ptr<Watcher> counting(std::atomic<int>& times) {
  return std::make_shared<Watcher>([&times](const ExitedServer&) { ++times; });
}

const std::string name = "ended";
const ExitedServer ended{Pid{7}, name, ExitReason::shutdown("upgrade")};

}  // namespace

TEST_CASE("every watcher is told once, in the order in which they came", "[core][exit_watchers]") {
  ExitWatchers watchers;
  std::vector<int> told;
  for (int i = 0; i < 3; ++i) {
    CHECK(watchers.add(std::make_shared<Watcher>([&told, i](const ExitedServer& server) {
      CHECK(server.pid == Pid{7});
      CHECK(server.reason == ExitReason::shutdown("upgrade"));
      told.push_back(i);
    })));
  }

  watchers.tell(ended);

  CHECK(told == std::vector<int>{0, 1, 2});
}

TEST_CASE("who comes too late is refused", "[core][exit_watchers]") {
  ExitWatchers watchers;
  std::atomic<int> times{0};
  watchers.tell(ended);

  CHECK_FALSE(watchers.add(counting(times)));
  CHECK(times == 0);
}

TEST_CASE("who was removed is not told, though others are being told", "[core][exit_watchers]") {
  ExitWatchers watchers;
  std::atomic<int> times{0};
  const auto removed = counting(times);
  CHECK(watchers.add(std::make_shared<Watcher>(
      [&](const ExitedServer&) { watchers.remove(*removed); })));
  CHECK(watchers.add(removed));

  watchers.tell(ended);

  CHECK(times == 0);
}

TEST_CASE("removing what is not there does nothing", "[core][exit_watchers]") {
  ExitWatchers watchers;
  std::atomic<int> times{0};
  const auto watcher = counting(times);

  watchers.remove(*watcher);
  CHECK(watchers.add(watcher));
  watchers.remove(*watcher);
  watchers.remove(*watcher);
  watchers.tell(ended);

  CHECK(times == 0);
  CHECK(watcher.use_count() == 1);
}

TEST_CASE("each of many racing watchers is either told or refused", "[core][exit_watchers][.stress]") {
  for (int round = 0; round < 200; ++round) {
    ExitWatchers watchers;
    std::atomic<int> told{0};
    std::atomic<int> refused{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 10; ++n) refused += watchers.add(counting(told)) ? 0 : 1;
      });
    }
    watchers.tell(ended);
    for (std::thread& thread : threads) thread.join();

    CHECK(told + refused == 40);
  }
}
