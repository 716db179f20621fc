// SPDX-License-Identifier: BSL-1.0
// A counter, and the producer that counts with it.
#pragma once

#include <bench/savina/benchmark.hpp>

namespace savina {

/// The producer tells the counter 1 000 000 times to add one, and then asks what came out.
///
/// On the way: as many messages as the counter's mailbox holds. The producer waits for room, the
/// counter for nothing.
template <class Peer>
class Counting {
 public:
  static constexpr const char* name = "savina.count";

  explicit Counting(const Run& run) : messages_{run.scaled(1'000'000)} {}

  void run() {
    Finish finish;
    Server<Counter> counter;
    Server<Producer> producer{Producer{.counter = &counter, .finish = &finish}};
    producer.cast([self = &producer, messages = messages_](Producer& state) {
      state.produce(self, messages);
    });
    finish.wait();
    counted_ = counter.call([](Counter& state) { return state.count; });
    reported_ = producer.call([](Producer& state) { return state.reported; });
  }

  void check() const {
    expect<Count>("messages that the counter counted", messages_, counted_);
    expect<Count>("messages that the producer was told", messages_, reported_);
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  struct Producer;

  struct Counter {
    void report(Server<Producer>* asker) {
      asker->cast([count = count](Producer& state) { state.receive(count); });
    }

    Count count = 0;
  };

  struct Producer {
    void produce(Server<Producer>* self, Count messages) {
      for (Count i = 0; i < messages; ++i) counter->cast([](Counter& state) { ++state.count; });
      counter->cast([self](Counter& state) { state.report(self); });
    }
    void receive(Count count) {
      reported = count;
      finish->signal();
    }

    Server<Counter>* counter;
    Finish* finish;
    Count reported = 0;
  };

  const Count messages_;
  Count counted_ = 0;
  Count reported_ = 0;
};

}  // namespace savina
