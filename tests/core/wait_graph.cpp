// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/wait_graph.hpp>

#include <support/catch.hpp>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

using namespace genserver;

namespace {

/// A server as the graph sees it.
struct Node {
  explicit Node(const std::string& name, std::size_t capacity = 1) : mailbox{capacity, false} {
    identity.name = name;
    identity.pid = Directory::next_pid();
    identity.mailbox = &mailbox;
    record = &Directory::instance().acquire(identity);
  }
  ~Node() { Directory::instance().release(*record); }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  Mailbox mailbox;
  ServerIdentity identity{};
  ServerRecord* record = nullptr;
};

void begin(Waiting& waiting, Node& from, Node& to, WaitKind kind = WaitKind::call) {
  waiting.begin(*from.record, *to.record, kind, CallSite::here());
}

}  // namespace

TEST_CASE("a chain of waits is no circle", "[core][wait_graph]") {
  Node a{"a"}, b{"b"}, c{"c"};
  Waiting ab, bc;
  begin(bc, b, c);
  begin(ab, a, b);

  CHECK(!ab.find_cycle(false));
  CHECK(!bc.find_cycle(false));
}

TEST_CASE("the edge that closes a circle finds it, beginning with itself", "[core][wait_graph]") {
  Node a{"a"}, b{"b"}, c{"c"};
  Waiting ab, bc, ca;
  begin(ab, a, b);
  begin(bc, b, c);
  begin(ca, c, a);

  const auto cycle = ca.find_cycle(false);

  REQUIRE(cycle);
  REQUIRE(cycle->size() == 3);
  CHECK((*cycle)[0].edge.waiter == "c");
  CHECK((*cycle)[1].edge.waiter == "a");
  CHECK((*cycle)[2].edge.target == "c");
  CHECK((*cycle)[0].edge.target_pid == a.identity.pid);
}

TEST_CASE("a server that waits for itself is a circle of one", "[core][wait_graph]") {
  Node a{"a"};
  Waiting aa;
  begin(aa, a, a);

  const auto cycle = aa.find_cycle(false);

  REQUIRE(cycle);
  CHECK(cycle->size() == 1);
}

TEST_CASE("an edge that leads into a circle of others is not part of it", "[core][wait_graph]") {
  Node a{"a"}, b{"b"}, c{"c"}, d{"d"}, e{"e"};
  Waiting bc, cd, db, ab, ea;
  begin(bc, b, c);
  begin(cd, c, d);
  begin(db, d, b);
  begin(ab, a, b);
  begin(ea, e, a);

  CHECK(!ab.find_cycle(false));  // and it ends
  CHECK(!ea.find_cycle(false));  // also from a place that the circle does not come back to
  CHECK(db.find_cycle(false));
}

TEST_CASE("with a withdrawn edge the circle is gone for the others", "[core][wait_graph]") {
  Node a{"a"}, b{"b"};
  Waiting ab, ba;
  begin(ab, a, b);
  begin(ba, b, a);

  CHECK(ba.find_cycle(true));
  CHECK(!ab.find_cycle(true));
}

TEST_CASE("of those who find the same circle one reports it", "[core][wait_graph]") {
  Node a{"a"}, b{"b"};
  for (int times = 0; times < 2; ++times) {
    Waiting ab, ba;
    begin(ab, a, b);
    begin(ba, b, a);
    const auto seen_by_a = ab.find_cycle(false);
    const auto seen_by_b = ba.find_cycle(false);
    REQUIRE((seen_by_a && seen_by_b));

    CHECK(Waiting::is_first_to_report(*seen_by_b));
    CHECK_FALSE(Waiting::is_first_to_report(*seen_by_a));
  }
}

TEST_CASE("an edge ends when its token says so, and only that edge", "[core][wait_graph]") {
  Node a{"a"}, b{"b"};
  WaitToken old;
  {
    Waiting first;
    begin(first, a, b);
    old = first.token();
  }
  Waiting second, back;
  begin(second, a, b);
  begin(back, b, a);

  old.end();
  CHECK(back.find_cycle(false));

  second.token().end();
  CHECK(!back.find_cycle(false));
}

TEST_CASE("an edge that was never published ends nothing", "[core][wait_graph]") {
  const Waiting none;

  CHECK(none.token().waiter == nullptr);
  none.token().end();
}

TEST_CASE("waiting for room is an edge only while the mailbox is full", "[core][wait_graph]") {
  struct Filler final : Message {
    Filler() : Message{CallSite::here()} {}
    void run(void*) override {}
    void refuse(const Refusal&) noexcept override {}
  };
  Node a{"a"}, b{"b"};
  Waiting ab, ba;
  begin(ba, b, a);
  begin(ab, a, b, WaitKind::room);
  CHECK(!ab.find_cycle(false));

  Filler filler;
  REQUIRE(b.mailbox.push(filler, true) == Mailbox::Push::queued);

  CHECK(ab.find_cycle(false));
}

TEST_CASE("waiting for an end is an edge only until that is over", "[core][wait_graph]") {
  Node a{"a"}, b{"b"};
  Waiting ab, ba;
  begin(ba, b, a);
  begin(ab, a, b, WaitKind::stop);
  CHECK(ab.find_cycle(false));

  b.record->set_over();

  CHECK(!ab.find_cycle(false));
}

TEST_CASE("what a server waits for now can be asked", "[core][wait_graph]") {
  Node a{"a"}, b{"b"};
  CHECK(!Waiting::current(*a.record));
  Waiting ab;
  begin(ab, a, b, WaitKind::future);

  const auto edge = Waiting::current(*a.record);

  REQUIRE(edge);
  CHECK(edge->waiter == "a");
  CHECK(edge->target == "b");
  CHECK(edge->kind == WaitKind::future);
  CHECK(edge->site.file_name() == "wait_graph.cpp");
}

TEST_CASE("an edge is as old as its waiter says, and each one begins anew", "[core][wait_graph]") {
  Node a{"a"}, b{"b"};
  {
    Waiting ab;
    begin(ab, a, b);
    CHECK(Waiting::current(*a.record)->age == std::chrono::nanoseconds{0});
    a.record->set_wait_since(std::chrono::steady_clock::now() - std::chrono::hours{1});
    CHECK(Waiting::current(*a.record)->age >= std::chrono::hours{1});
  }
  Waiting ab;
  begin(ab, a, b);

  CHECK(Waiting::current(*a.record)->age == std::chrono::nanoseconds{0});
}

TEST_CASE("of two that close a circle at the same time exactly one finds it",
          "[core][wait_graph][.stress]") {
  constexpr int rounds = 50'000;
  Node a{"a"}, b{"b"};
  std::atomic<int> begun{0}, found{0}, done{0};
  const auto wait_for = [](const std::atomic<int>& count, int value) {
    for (int looks = 1; count.load(std::memory_order_acquire) < value; ++looks) {
      if (looks % 1000 == 0) std::this_thread::yield();  // for a single processor
    }
  };
  std::thread other{[&] {
    for (int round = 1; round <= rounds; ++round) {
      wait_for(begun, round);
      Waiting ba;
      begin(ba, b, a);
      if (ba.find_cycle(true)) ++found;
      ++done;
      wait_for(done, 2 * round);
    }
  }};
  int missed = 0;

  for (int round = 1; round <= rounds; ++round) {
    Waiting ab;
    begun.store(round, std::memory_order_release);
    for (int wait = 0; wait < round % 64; ++wait) begun.load(std::memory_order_relaxed);  // to meet
    begin(ab, a, b);
    if (ab.find_cycle(true)) ++found;
    ++done;
    wait_for(done, 2 * round);
    if (found != round) ++missed;
    found = round;
  }
  other.join();

  CHECK(missed == 0);
}
