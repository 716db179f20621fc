// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/dump.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>

#include <atomic>
#include <csignal>
#include <mutex>
#include <stdexcept>
#include <system_error>

using namespace genserver;

TEST_CASE("a signal brings a snapshot with all stacks, again and again", "[core][dump]") {
  const GenServer<int> server{{.name = "store"}, 0};
  Hold hold{server};
  std::mutex mutex;
  Snapshot seen;
  std::atomic<int> count{0};
  dump_on_signal(SIGUSR1, [&](const Snapshot& all) {
    const std::scoped_lock lock{mutex};
    seen = all;
    ++count;
  });

  for (int i = 1; i <= 2; ++i) {
    std::raise(SIGUSR1);
    CHECK(eventually([&] { return count == i; }));
  }

  const std::scoped_lock lock{mutex};
  REQUIRE(seen.find(server.pid()));
  const ServerSnapshot& shown = seen.servers[*seen.find(server.pid())];
  CHECK(shown.activity == ServerSnapshot::Activity::running);
  CHECK_FALSE((shown.stack.frames.empty() && shown.stack.note.empty()));
}

TEST_CASE("what a sink of dumps throws does no harm", "[core][dump]") {
  std::atomic<int> count{0};
  dump_on_signal(SIGUSR1, [&](const Snapshot&) {
    ++count;
    throw std::runtime_error{"no room"};
  });

  for (int i = 1; i <= 2; ++i) {
    std::raise(SIGUSR1);
    CHECK(eventually([&] { return count == i; }));
  }
}

TEST_CASE("the last sink set for a signal gets the dumps", "[core][dump]") {
  std::atomic<int> first{0};
  std::atomic<int> second{0};
  dump_on_signal(SIGUSR2, [&](const Snapshot&) { ++first; });

  dump_on_signal(SIGUSR2, [&](const Snapshot&) { ++second; });
  std::raise(SIGUSR2);

  CHECK(eventually([&] { return second == 1; }));
  CHECK(first == 0);
}

TEST_CASE("a signal that cannot be caught is refused with its number", "[core][dump]") {
  CHECK_THROWS_AS(dump_on_signal(SIGKILL), std::system_error);
  CHECK_THROWS_WITH(dump_on_signal(12345),
                    Catch::Matchers::ContainsSubstring("signal 12345 cannot be watched"));
}
