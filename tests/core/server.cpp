// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/server.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using genserver::ExitReason;
using genserver::GenServer;
using genserver::Options;

TEST_CASE("a State that can be neither copied nor moved lives in the server", "[core][server]") {
  struct State {
    explicit State(int start) : count{start} {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    std::mutex mutex{};
    std::atomic<int> count;
  };
  GenServer<State> server{{}, 3};

  CHECK(server.call([](State& state) { return ++state.count; }) == 4);
}

TEST_CASE("a State may be an aggregate", "[core][server]") {
  struct Point {
    int x = 0;
    int y = 0;
    std::string name{};
  };
  GenServer<Point> some{{}, 1, 2};
  GenServer<Point> whole{{}, Point{.x = 3, .y = 4, .name = "P"}};
  GenServer<Point> none{{}};
  const auto sum = [](Point& point) { return point.x + point.y; };

  CHECK(some.call(sum) == 3);
  CHECK(whole.call(sum) == 7);
  CHECK(whole.call([](Point& point) { return point.name; }) == "P");
  CHECK(none.call(sum) == 0);
}

TEST_CASE("a State of a basic type begins as its value", "[core][server]") {
  GenServer<int> number{{}, 5};
  GenServer<double*> pointer{{}, nullptr};
  GenServer<int> zero{{}};

  CHECK(number.call([](int& n) { return n; }) == 5);
  CHECK(pointer.call([](double*& p) { return p == nullptr; }));
  CHECK(zero.call([](int& n) { return n; }) == 0);
}

TEST_CASE("what State is made from is passed on, not copied", "[core][server]") {
  struct State {
    State(std::unique_ptr<int> number, std::string& text) : owned{std::move(number)} {
      text = "seen";
    }
    std::unique_ptr<int> owned;
  };
  std::string text = "unseen";
  GenServer<State> server{{}, std::make_unique<int>(8), text};

  CHECK(text == "seen");
  CHECK(server.call([](State& state) { return *state.owned; }) == 8);
}

TEST_CASE("a State with a large alignment gets it", "[core][server]") {
  struct alignas(256) State {
    char content[3] = {};
  };
  GenServer<State> server{{}};

  const auto address =
      server.call([](State& state) { return reinterpret_cast<std::uintptr_t>(&state); });

  CHECK(address % 256 == 0);
}

TEST_CASE("a State whose address operator is its own is not asked for it", "[core][server]") {
  struct State {
    State* operator&() { return nullptr; }
    int number = 6;
  };
  GenServer<State> server{{}};

  CHECK(server.call([](State& state) { return state.number; }) == 6);
}

TEST_CASE("State is made, used, terminated and destroyed by one thread", "[core][server]") {
  struct State {
    explicit State(std::vector<std::thread::id>& list) : ids{list} { note(); }
    ~State() { note(); }
    void terminate(const ExitReason&) { note(); }
    void note() { ids.push_back(std::this_thread::get_id()); }
    std::vector<std::thread::id>& ids;
  };
  std::vector<std::thread::id> ids;
  GenServer<State> server{{}, ids};

  server.call([](State& state) { state.note(); });
  server.stop();

  REQUIRE(ids.size() == 4);
  CHECK(ids == std::vector<std::thread::id>(4, ids.front()));
  CHECK(ids.front() != std::this_thread::get_id());
}

TEST_CASE("the server is started when its State is made", "[core][server]") {
  struct State {
    explicit State(std::atomic<bool>& flag) { flag = true; }
  };
  std::atomic<bool> is_made{false};

  const GenServer<State> server{{}, is_made};
  const bool was_made = is_made;

  CHECK(was_made);
  CHECK(server.is_alive());
}

TEST_CASE("State is destroyed once, and before the owner has gone", "[core][server]") {
  struct State {
    explicit State(int& counter) : destroyed{counter} {}
    ~State() { ++destroyed; }
    int& destroyed;
  };
  int destroyed = 0;
  std::vector<int> seen;

  {
    GenServer<State> server{{}, destroyed};
    seen.push_back(server.call([](State& state) { return state.destroyed; }));
    server.stop();
    seen.push_back(destroyed);
  }
  seen.push_back(destroyed);

  CHECK(seen == std::vector<int>{0, 1, 1});
}

TEST_CASE("members of a State whose constructor throws are destroyed", "[core][server]") {
  struct State {
    explicit State(std::shared_ptr<int> token) : kept{std::move(token)} { throw 5; }
    std::shared_ptr<int> kept;
  };
  const auto token = std::make_shared<int>(0);

  CHECK_THROWS_AS(GenServer<State>(Options{}, token), int);

  CHECK(token.use_count() == 1);
}

TEST_CASE("a State may own other servers", "[core][server]") {
  struct Branch {
    int ask() {
      return leaf.call([](int& n) { return ++n; });
    }
    GenServer<int> leaf{Options{.name = "leaf"}, 1};
  };
  genserver::AnyRef leaf;
  {
    GenServer<Branch> server{{}};
    leaf = server.call([](Branch& branch) { return branch.leaf.ref(); });

    CHECK(server.call(&Branch::ask) == 2);
  }

  CHECK_FALSE(leaf.is_alive());
}

TEST_CASE("references of one State type know each other, of another they do not",
          "[core][server]") {
  CHECK(genserver::Server<int>::type() == genserver::Server<int>::type());
  CHECK(genserver::Server<int>::type() != genserver::Server<unsigned>::type());
}
