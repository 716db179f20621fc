// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/any_ref.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/thrown.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

using genserver::AnyRef;
using genserver::ExitReason;
using genserver::GenServer;
using genserver::InvalidArgument;
using genserver::SelfWait;
using genserver::ServerGone;

namespace {

using namespace std::chrono_literals;

}  // namespace

TEST_CASE("references to servers of any kind can be kept together", "[core][any_ref]") {
  GenServer<int> numbers{{.name = "numbers"}, 0};
  GenServer<std::string> words{{.name = "words"}};
  const std::vector<AnyRef> all{numbers, words, numbers.ref()};

  CHECK(all[0].name() == "numbers");
  CHECK(all[1].name() == "words");
  CHECK(all[0].pid() == numbers.pid());
  CHECK(all[0] == all[2]);
  CHECK(all[0] != all[1]);
  CHECK(numbers == numbers.ref());
}

TEST_CASE("references are ordered by pid, the empty one first", "[core][any_ref]") {
  GenServer<int> first{{}, 0};
  GenServer<std::string> second{{}};
  const std::set<AnyRef> ordered{second, AnyRef{}, first, first.ref()};

  const std::vector<AnyRef> list{ordered.begin(), ordered.end()};

  CHECK(list == std::vector<AnyRef>{AnyRef{}, first, second});
  CHECK(AnyRef{} < AnyRef{first});
  CHECK(AnyRef{second} > AnyRef{first});
}

TEST_CASE("references are keys of a hash table", "[core][any_ref]") {
  GenServer<int> first{{}, 0};
  GenServer<int> second{{}, 0};
  std::unordered_map<AnyRef, std::string> names{{first, "first"}, {second, "second"}};

  names[first.ref()] = "one";
  names[AnyRef{}] = "none";

  CHECK(names.size() == 3);
  CHECK(names.at(first) == "one");
}

TEST_CASE("a reference does not keep its server running", "[core][any_ref]") {
  AnyRef ref;
  {
    const GenServer<int> server{{.name = "short"}, 0};
    ref = server;
    CHECK(ref.is_alive());
    CHECK_FALSE(ref.exit_reason().has_value());
  }

  CHECK_FALSE(ref.is_alive());
  CHECK(ref.exit_reason() == ExitReason::normal());
  CHECK(ref.name() == "short");
}

TEST_CASE("a server can be stopped by reference", "[core][any_ref]") {
  GenServer<int> server{{}, 0};
  const AnyRef ref{server};
  std::atomic<int> handled{0};
  for (int n = 0; n < 50; ++n) server.cast([&] { ++handled; });

  ref.stop(ExitReason::shutdown("by reference"));

  CHECK(handled == 50);
  CHECK_FALSE(ref.is_alive());
  CHECK(server.exit_reason() == ExitReason::shutdown("by reference"));
}

TEST_CASE("stopping an ended server by reference says that it has gone", "[core][any_ref]") {
  GenServer<int> server{{.name = "gone"}, 0};
  const AnyRef ref{server};
  ref.stop(ExitReason::shutdown("before"));

  const auto error = thrown<ServerGone>([&] { ref.stop(); });
  const unsigned line = __LINE__ - 1;

  REQUIRE(error.has_value());
  CHECK(error->reason() == ExitReason::shutdown("before"));
  CHECK(has(error->what(), "gone"));
  CHECK(has(error->what(), "any_ref.cpp:" + std::to_string(line)));
  CHECK_THROWS_AS(ref.stop_for(1h), ServerGone);
  CHECK_NOTHROW(ref.request_stop());
}

TEST_CASE("stop_for by reference gives up in time, and the server stops later", "[core][any_ref]") {
  Gate entered;
  Gate left;
  GenServer<int> server{{}, 0};
  const AnyRef ref{server};
  server.cast([&] {
    entered.open();
    left.wait();
  });
  entered.wait();
  const auto before = std::chrono::steady_clock::now();

  const bool has_ended = ref.stop_for(20ms);
  const auto waited = std::chrono::steady_clock::now() - before;
  const bool at_once = ref.stop_for(0ms);
  left.open();

  CHECK_FALSE(has_ended);
  CHECK_FALSE(at_once);
  CHECK(waited >= 20ms);
  CHECK(eventually([&] { return !ref.is_alive(); }));
}

TEST_CASE("request_stop does not wait, and lets what was sent before be handled",
          "[core][any_ref]") {
  Gate left;
  std::atomic<int> handled{0};
  GenServer<int> server{{}, 0};
  const AnyRef ref{server};
  server.cast([&] { left.wait(); });
  server.cast([&] { ++handled; });

  ref.request_stop(ExitReason::shutdown("soon"));
  const bool was_alive = ref.is_alive();
  left.open();

  CHECK(was_alive);
  CHECK(eventually([&] { return !ref.is_alive(); }));
  CHECK(handled == 1);
  CHECK(ref.exit_reason() == ExitReason::shutdown("soon"));
}

TEST_CASE("a handler may not wait for the end of its own server by reference", "[core][any_ref]") {
  GenServer<int> server{{}, 0};
  const AnyRef ref{server};

  CHECK_THROWS_AS(server.call([&] { ref.stop(); }), SelfWait);
  CHECK_THROWS_AS(server.call([&] { ref.stop_for(0ms); }), SelfWait);
  CHECK(ref.is_alive());
}

TEST_CASE("a server may stop another one and wait for its end", "[core][any_ref]") {
  GenServer<int> boss{{}, 0};
  GenServer<int> worker{{}, 0};
  const AnyRef ref{worker};

  const bool was_alive = boss.call([&] {
    ref.stop();
    return ref.is_alive();
  });

  CHECK_FALSE(was_alive);
  CHECK(boss.is_alive());
}

TEST_CASE("every function of an empty reference refuses", "[core][any_ref]") {
  const AnyRef none;

  CHECK_FALSE(none);
  CHECK_THROWS_AS(none.is_alive(), InvalidArgument);
  CHECK_THROWS_AS(none.pid(), InvalidArgument);
  CHECK_THROWS_AS(none.name(), InvalidArgument);
  CHECK_THROWS_AS(none.exit_reason(), InvalidArgument);
  CHECK_THROWS_AS(none.stop(), InvalidArgument);
  CHECK_THROWS_AS(none.stop_for(1h), InvalidArgument);
  CHECK_THROWS_AS(none.request_stop(), InvalidArgument);
  CHECK(none == AnyRef{});
  CHECK(none.hash() == AnyRef{}.hash());
}

TEST_CASE("a reference that was moved from is empty", "[core][any_ref]") {
  GenServer<int> server{{}, 0};
  AnyRef first{server};

  const AnyRef second{std::move(first)};

  CHECK_FALSE(first);
  CHECK(second == server);
}
