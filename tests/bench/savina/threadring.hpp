// SPDX-License-Identifier: BSL-1.0
// A ring of servers that hand a token on.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <deque>

namespace savina {

/// A token makes 100 000 hops in a ring of 100 servers; then every server is told, by the one
/// before it, that this is the end.
///
/// On the way: one message.
template <class Peer>
class ThreadRing {
 public:
  static constexpr const char* name = "savina.threadring";

  explicit ThreadRing(const Run& run) : hops_{run.scaled(100'000)} {}

  void run() {
    Finish finish;
    std::deque<Server<Node>> ring;
    for (Count i = 0; i < nodes_; ++i) ring.emplace_back(Node{.finish = &finish});
    for (Count i = 0; i < ring.size(); ++i) {
      ring[i].cast([next = &ring[(i + 1) % ring.size()]](Node& state) { state.next = next; });
    }
    ring.front().cast([hops = hops_](Node& state) { state.take(hops); });
    finish.wait();
    taken_ = sum(ring, [](Node& state) { return state.taken; });
    told_ = sum(ring, [](Node& state) { return state.told; });
  }

  void check() const {
    expect<Count>("times that a server had the token", hops_ + 1, taken_);
    expect<Count>("servers that were told the end", nodes_, told_);
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  static constexpr Count nodes_ = 100;

  struct Node {
    void take(Count hops_left) {
      ++taken;
      if (hops_left > 0) {
        next->cast([hops = hops_left - 1](Node& state) { state.take(hops); });
      } else {
        next->cast([](Node& state) { state.end(nodes_); });
      }
    }
    void end(Count nodes_left) {
      ++told;
      if (nodes_left == 1) return finish->signal();
      next->cast([nodes = nodes_left - 1](Node& state) { state.end(nodes); });
    }

    Finish* finish;
    Server<Node>* next = nullptr;
    Count taken = 0;
    Count told = 0;
  };

  const Count hops_;
  Count taken_ = 0;
  Count told_ = 0;
};

}  // namespace savina
