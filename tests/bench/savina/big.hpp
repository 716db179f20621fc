// SPDX-License-Identifier: BSL-1.0
// Big: many servers that send to each other at random.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <deque>

namespace savina {

/// Each of 120 servers sends 20 000 pings, one after the other, each to a server that it picks at
/// random, and waits for its pong. A sink learns from each when it has had the last one.
///
/// On the way: one message for each server, a ping, its pong or what the sink is told.
template <class Peer>
class Big {
 public:
  static constexpr const char* name = "savina.big";

  explicit Big(const Run& run) : pings_{run.scaled(20'000)} {}

  void run() {
    Finish finish;
    Server<Sink> sink{Sink{.finish = &finish}};
    Nodes nodes;
    for (Count id = 0; id < nodes_; ++id) {
      nodes.emplace_back(Node{.id = id,
                              .pings_left = pings_,
                              .random = PseudoRandom{id},
                              .nodes = &nodes,
                              .sink = &sink});
    }
    for (auto& node : nodes) node.cast([](Node& state) { state.go_on(); });
    finish.wait();
    answered_ = sum(nodes, [](Node& state) { return state.answered; });
    matching_ = sum(nodes, [](Node& state) { return state.matching; });
  }

  void check() const {
    expect<Count>("pings answered", nodes_ * pings_, answered_);
    expect<Count>("pongs from the server that was sent the ping", nodes_ * pings_, matching_);
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  static constexpr Count nodes_ = 120;

  struct Node;
  using Nodes = std::deque<Server<Node>>;

  struct Sink {
    void take_end() {
      if (++ended == nodes_) finish->signal();
    }

    Finish* finish;
    Count ended = 0;
  };

  struct Node {
    void answer(Count sender) {
      ++answered;
      at(sender).cast([id = id](Node& state) { state.take_pong(id); });
    }
    void take_pong(Count sender) {
      if (sender == awaited) ++matching;
      go_on();
    }
    void go_on() {
      if (pings_left == 0) return (void)sink->cast([](Sink& state) { state.take_end(); });
      --pings_left;
      awaited = random.next(nodes_);
      at(awaited).cast([id = id](Node& state) { state.answer(id); });
    }
    Server<Node>& at(Count other) { return (*nodes)[other]; }

    Count id;
    Count pings_left;
    PseudoRandom random;
    Nodes* nodes;
    Server<Sink>* sink;
    Count awaited = nodes_;
    Count answered = 0;
    Count matching = 0;
  };

  const Count pings_;
  Count answered_ = 0;
  Count matching_ = 0;
};

}  // namespace savina
