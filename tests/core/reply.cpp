// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/reply.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using genserver::Future;
using genserver::GenServer;
using genserver::InvalidArgument;
using genserver::NoReply;
using genserver::Reply;

namespace {

using namespace std::chrono_literals;

// Tables of a restaurant, and who waits for one.
struct Tables {
  int free = 0;
  std::deque<Reply<int>> waiting{};
};

void seat(Tables& tables, Reply<int> reply) {
  if (tables.free > 0) {
    reply.reply(tables.free--);
  } else {
    tables.waiting.push_back(std::move(reply));
  }
}

// Gives every waiting caller a table.
void open_tables(Tables& tables, int count) {
  tables.free += count;
  for (; tables.free > 0 && !tables.waiting.empty(); tables.waiting.pop_front()) {
    tables.waiting.front().reply(tables.free--);
  }
}

}  // namespace

TEST_CASE("a deferred call may be answered at once", "[core][reply]") {
  GenServer<Tables> server{{}, Tables{.free = 2}};

  const int table =
      server.call<int>([](Tables& t, Reply<int> reply) { seat(t, std::move(reply)); });

  CHECK(table == 2);
}

TEST_CASE("parked callers are all released by a later handler, round after round",
          "[core][reply]") {
  GenServer<Tables> server{{}};

  for (int round = 0; round < 10; ++round) {
    std::atomic<int> seated{0};
    std::vector<std::thread> guests;
    for (int guest = 0; guest < 3; ++guest) {
      guests.emplace_back([&] {
        const int table = server.call<int>(
            [](Tables& tables, Reply<int> reply) { seat(tables, std::move(reply)); });
        if (table >= 1 && table <= 3) ++seated;
      });
    }
    if (round % 2 == 0) std::this_thread::yield();
    server.call([](Tables& tables) { open_tables(tables, 3); });
    for (std::thread& guest : guests) guest.join();
    CHECK(seated == 3);
  }
}

TEST_CASE("a reply may come from another thread", "[core][reply]") {
  GenServer<int> server{{}, 0};
  std::thread helper;

  const auto answer = server.call<std::string>([&](int&, Reply<std::string> reply) {
    helper = std::thread{[kept = std::move(reply)]() mutable { kept.reply("from a helper"); }};
  });
  server.call([] {});  // the handler has returned
  helper.join();

  CHECK(answer == "from a helper");
}

TEST_CASE("a reply may come from a timer", "[core][reply]") {
  GenServer<Tables> server{{}};

  const int table = server.call<int>([](Tables& tables, Reply<int> reply) {
    seat(tables, std::move(reply));
    genserver::self<Tables>().cast_after(1ms, [](Tables& later) { open_tables(later, 1); });
  });

  CHECK(table == 1);
}

TEST_CASE("only the first answer counts", "[core][reply]") {
  GenServer<int> server{{}, 0};
  std::vector<bool> taken;

  const int answer = server.call<int>([&](int&, Reply<int> reply) {
    taken.push_back(reply.reply(1));
    taken.push_back(reply.reply(2));
    taken.push_back(reply.fail(std::logic_error{"too late"}));
    taken.push_back(reply.abort());
    taken.push_back(reply.abort());
  });
  server.call([] {});  // the handler has returned

  CHECK(answer == 1);
  CHECK(taken == std::vector<bool>{true, false, false, false, false});
}

TEST_CASE("an aborted call throws NoReply, and later answers are ignored", "[core][reply]") {
  GenServer<int> server{{.name = "refusing"}, 0};
  std::vector<bool> taken;

  const auto error = thrown<NoReply>([&] {
    server.call<int>([&](int&, Reply<int> reply) {
      taken.push_back(reply.abort());
      taken.push_back(reply.abort());
      taken.push_back(reply.reply(1));
    });
  });
  server.call([] {});  // the handler has returned

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "refusing"));
  CHECK(has(error->what(), "reply.cpp"));
  CHECK(taken == std::vector<bool>{true, false, false});
  CHECK(server.is_alive());
}

TEST_CASE("abort from many threads completes the caller once and blocks nobody", "[core][reply]") {
  std::atomic<int> counted{0};
  Gate all_aborted;
  Gate may_return;
  GenServer<int> server{{}, 0};

  Future<int> future = server.async_call<int>([&](int&, Reply<int> reply) {
    std::vector<std::thread> others;
    for (int n = 0; n < 10; ++n) {
      others.emplace_back([&] { counted += reply.abort() ? 1 : 0; });
    }
    for (std::thread& other : others) other.join();
    all_aborted.open();
    may_return.wait();
  });
  all_aborted.wait();

  CHECK_THROWS_AS(future.get(), NoReply);  // while the handler runs
  CHECK(counted == 1);
  may_return.open();
}

TEST_CASE("an abort completes the caller before its handler returns", "[core][reply]") {
  Gate may_return;
  std::atomic<bool> has_returned{false};
  GenServer<int> server{{}, 0};

  CHECK_THROWS_AS(server.call<int>([&](int&, Reply<int> reply) {
    reply.abort();
    may_return.wait();
    has_returned = true;
  }),
                  NoReply);
  const bool was_running = !has_returned;
  may_return.open();

  CHECK(was_running);
  CHECK(server.call([&] { return has_returned.load(); }));
}

TEST_CASE("an abort after the answer does nothing", "[core][reply]") {
  Reply<int> kept;
  GenServer<int> server{{}, 0};

  const int answer = server.call<int>([&](int&, Reply<int> reply) {
    kept = std::move(reply);
    kept.reply(5);
  });

  CHECK(answer == 5);
  CHECK_FALSE(kept.abort());
}

TEST_CASE("a reply that is dropped makes the call throw NoReply", "[core][reply]") {
  Reply<int> kept;
  GenServer<int> server{{}, 0};
  const auto keep = [&](int&, Reply<int> reply) { kept = std::move(reply); };

  CHECK_THROWS_AS(server.call<int>([](int&, Reply<int>) {}), NoReply);
  Future<int> replaced = server.async_call<int>(keep);
  Future<int> moved_away = server.async_call<int>(keep);
  CHECK_THROWS_AS(replaced.get(), NoReply);
  server.call([&] { kept = Reply<int>{}; });

  CHECK_THROWS_AS(moved_away.get(), NoReply);
  CHECK(server.is_alive());
}

TEST_CASE("fail makes the call throw that exception", "[core][reply]") {
  GenServer<int> server{{}, 0};
  const auto by_value = [](int&, Reply<int> reply) { reply.fail(std::out_of_range{"no table"}); };
  const auto by_pointer = [](int&, Reply<int> reply) {
    reply.fail(std::make_exception_ptr(std::out_of_range{"no table"}));
  };

  CHECK_THROWS_AS(server.call<int>(by_value), std::out_of_range);
  CHECK_THROWS_AS(server.call<int>(by_pointer), std::out_of_range);
}

TEST_CASE("what a deferred handler throws reaches its caller, and the server goes on",
          "[core][reply]") {
  GenServer<int> server{{}, 0};
  const auto throws = [](int&, Reply<int>) { throw std::out_of_range{"no table"}; };

  CHECK_THROWS_AS(server.call<int>(throws), std::out_of_range);
  CHECK_THROWS_AS(server.async_call<int>(throws).get(), std::out_of_range);
  CHECK(server.is_alive());
}

TEST_CASE("what a deferred handler throws after it has answered is dropped", "[core][reply]") {
  GenServer<int> server{{}, 0};

  const int answer = server.call<int>([](int&, Reply<int> reply) {
    reply.reply(3);
    throw std::logic_error{"too late"};
  });

  CHECK(answer == 3);
  CHECK(server.call([](int& n) { return n; }) == 0);
}

TEST_CASE("what a deferred handler throws after it has parked its reply reaches the caller",
          "[core][reply]") {
  Reply<int> kept;
  GenServer<int> server{{}, 0};

  const auto error = thrown<std::logic_error>([&] {
    server.call<int>([&](int&, Reply<int> reply) {
      kept = std::move(reply);
      throw std::logic_error{"changed my mind"};
    });
  });

  CHECK(error.has_value());
  CHECK_FALSE(kept.reply(1));
}

TEST_CASE("a reply counts a round when its handler returns without an answer", "[core][reply]") {
  Reply<int> kept;
  GenServer<int> server{{}, 0};
  unsigned first = 9;
  Future<int> future = server.async_call<int>([&](int&, Reply<int> reply) {
    first = reply.rounds();
    kept = std::move(reply);
  });

  const unsigned second = server.call([&] { return kept.rounds(); });
  std::atomic<int> agreeing{0};
  std::vector<std::thread> readers;
  for (int n = 0; n < 4; ++n) {
    readers.emplace_back([&] { agreeing += kept.rounds() == 1 ? 1 : 0; });
  }
  for (std::thread& reader : readers) reader.join();
  kept.reply(1);

  CHECK(first == 0);
  CHECK(second == 1);
  CHECK(agreeing == 4);
}

TEST_CASE("a call that was answered in its handler was not parked", "[core][reply]") {
  Reply<int> kept;
  GenServer<int> server{{}, 0};

  server.call<int>([&](int&, Reply<int> reply) {
    reply.reply(1);
    kept = std::move(reply);
  });

  CHECK(server.call([&] { return kept.rounds(); }) == 0);
}

TEST_CASE("readers of a label see one that was written, and the last one wins", "[core][reply]") {
  Reply<int> kept;
  GenServer<int> server{{}, 0};
  Future<int> future =
      server.async_call<int>([&](int&, Reply<int> reply) { kept = std::move(reply); });
  server.call([] {});
  const std::set<std::string> written{"", std::string(60, 'a'), std::string(60, 'b')};
  std::atomic<int> torn{0};
  std::vector<std::thread> threads;

  for (const char letter : {'a', 'b'}) {
    threads.emplace_back([&kept, letter] {
      for (int n = 0; n < 200; ++n) kept.set_label(std::string(60, letter));
    });
    threads.emplace_back([&] {
      for (int n = 0; n < 200; ++n) torn += written.count(kept.label()) == 0 ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  kept.set_label("last");

  CHECK(torn == 0);
  CHECK(kept.label() == "last");
}

TEST_CASE("a reply without a value answers a call that returns nothing", "[core][reply]") {
  GenServer<int> server{{}, 0};
  bool is_taken = false;

  server.call<void>([&](int& n, Reply<void> reply) {
    n = 4;
    is_taken = reply.reply();
  });
  const int state = server.call([](int& n) { return n; });

  CHECK(is_taken);
  CHECK(state == 4);
}

TEST_CASE("a reply takes values that can only be moved, and what converts", "[core][reply]") {
  GenServer<int> server{{}, 0};

  const auto pointer = server.call<std::unique_ptr<int>>(
      [](int&, Reply<std::unique_ptr<int>> reply) { reply.reply(std::make_unique<int>(6)); });
  const auto text = server.call<std::string>(
      [](int&, Reply<std::string> reply) { reply.reply("a string literal"); });

  CHECK(*pointer == 6);
  CHECK(text == "a string literal");
}

TEST_CASE("a value that cannot be copied into the answer makes the call throw", "[core][reply]") {
  struct Fragile {
    Fragile() = default;
    Fragile(const Fragile&) { throw std::runtime_error{"no copies"}; }
  };
  GenServer<int> server{{}, 0};
  const Fragile original;

  CHECK_THROWS_AS(server.call<Fragile>([&](int&, Reply<Fragile> reply) { reply.reply(original); }),
                  std::runtime_error);
  CHECK(server.is_alive());
}

TEST_CASE("an empty reply refuses every use", "[core][reply]") {
  Reply<int> empty;

  CHECK_FALSE(empty);
  CHECK_THROWS_AS(empty.reply(1), InvalidArgument);
  CHECK_THROWS_AS(empty.fail(std::logic_error{"an error"}), InvalidArgument);
  CHECK_THROWS_AS(empty.abort(), InvalidArgument);
  CHECK_THROWS_AS(empty.set_label("a label"), InvalidArgument);
  CHECK_THROWS_AS(empty.label(), InvalidArgument);
  CHECK_THROWS_AS(empty.rounds(), InvalidArgument);
}

TEST_CASE("a reply that was moved from is empty", "[core][reply]") {
  GenServer<int> server{{}, 0};
  bool is_empty = false;

  server.call<int>([&](int&, Reply<int> reply) {
    Reply<int> other{std::move(reply)};
    is_empty = !reply;
    other.reply(1);
  });

  CHECK(is_empty);
}

TEST_CASE("fail needs an exception", "[core][reply]") {
  GenServer<int> server{{}, 0};
  bool is_refused = false;

  const int answer = server.call<int>([&](int&, Reply<int> reply) {
    is_refused = thrown<InvalidArgument>([&] { reply.fail(std::exception_ptr{}); }).has_value();
    reply.reply(2);
  });

  CHECK(is_refused);
  CHECK(answer == 2);
}

TEST_CASE("an answer for which nobody waits any more does no harm", "[core][reply]") {
  Reply<int> kept;
  GenServer<int> server{{}, 0};
  {
    const Future<int> dropped =
        server.async_call<int>([&](int&, Reply<int> reply) { kept = std::move(reply); });
  }
  server.call([] {});

  kept.reply(1);

  CHECK_FALSE(kept.reply(2));
  CHECK(server.call([](int& n) { return n; }) == 0);
}

TEST_CASE("a reply outlives its server", "[core][reply]") {
  Reply<int> kept;
  Future<int> future;
  {
    GenServer<int> server{{}, 0};
    future = server.async_call<int>([&](int&, Reply<int> reply) { kept = std::move(reply); });
  }

  kept.set_label("still there");

  CHECK(kept.label() == "still there");
  CHECK_FALSE(kept.reply(1));
  CHECK_THROWS_AS(future.get(), genserver::ServerGone);
}

TEST_CASE("a handler that answers later takes a Reply of the right type", "[core][reply]") {
  struct Kitchen {
    void handle_call(int, Reply<int>) {}
  };
  const auto later = [](Kitchen&, Reply<int>) {};
  const auto at_once = [](Kitchen&) { return 1; };

  STATIC_REQUIRE(genserver::DeferredHandlerOf<decltype(later), Kitchen, int>);
  STATIC_REQUIRE(genserver::DeferredHandlerOf<int, Kitchen, int>);
  STATIC_REQUIRE_FALSE(genserver::DeferredHandlerOf<decltype(later), Kitchen, std::string>);
  STATIC_REQUIRE_FALSE(genserver::DeferredHandlerOf<decltype(at_once), Kitchen, int>);
}
