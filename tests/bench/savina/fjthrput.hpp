// SPDX-License-Identifier: BSL-1.0
// Fork-join throughput: many servers that get work from one thread.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <deque>

namespace savina {

/// The main thread sends 10 000 messages to each of 60 servers, in turns; a server computes
/// something small for each.
///
/// On the way: as many messages as the mailboxes hold. The main thread waits for room, the servers
/// for nothing.
template <class Peer>
class Throughput {
 public:
  static constexpr const char* name = "savina.fjthrput";

  explicit Throughput(const Run& run) : messages_{run.scaled(10'000)} {}

  void run() {
    std::deque<Server<Worker>> workers;
    for (Count i = 0; i < workers_; ++i) workers.emplace_back();
    for (Count i = 0; i < messages_; ++i) {
      for (auto& worker : workers) worker.cast([](Worker& state) { state.compute(); });
    }
    handled_ = sum(workers, [](Worker& state) { return state.handled; });
    sum_ = sum(workers, [](Worker& state) { return state.sum; });
  }

  void check() const {
    const double sine = std::sin(Worker{}.theta);
    expect<Count>("messages handled", messages_ * workers_, handled_);
    expect("sum of squares", sine * sine * static_cast<double>(messages_ * workers_), sum_, 1e-9);
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  static constexpr Count workers_ = 60;

  struct Worker {
    void compute() {
      const double sine = std::sin(theta);
      sum += sine * sine;
      ++handled;
    }

    double theta = 37.2;
    double sum = 0;
    Count handled = 0;
  };

  const Count messages_;
  Count handled_ = 0;
  double sum_ = 0;
};

}  // namespace savina
