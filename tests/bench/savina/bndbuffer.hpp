// SPDX-License-Identifier: BSL-1.0
// A bounded buffer between producers and consumers.
// Longer than others, since it checks what the buffer holds, and who waits for it.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <algorithm>
#include <deque>

namespace savina {

/// 40 producers make 1 000 items each for 40 consumers. A manager buffers at most 50 items: it asks
/// a producer for the next one while there is room for one from each.
///
/// On the way: one message for each producer and consumer; none while it waits in the manager.
template <class Peer>
class BoundedBuffer {
 public:
  static constexpr const char* name = "savina.bndbuffer";

  explicit BoundedBuffer(const Run& run) : items_{run.scaled(1'000)} {}

  void run() {
    Finish finish;
    Server<Manager> manager{Manager{.finish = &finish}};
    std::deque<Server<Consumer>> consumers;
    std::deque<Server<Producer>> producers;
    for (Count i = 0; i < each_; ++i) consumers.emplace_back(Consumer{&manager});
    for (Count i = 0; i < each_; ++i) producers.emplace_back(Producer{&manager, items_});
    for (auto& one : consumers) manager.cast([idle = &one](Manager& state) { state.serve(idle); });
    for (auto& one : producers) one.cast([self = &one](Producer& state) { state.produce(self); });
    finish.wait();
    peak_ = manager.call([](Manager& state) { return state.peak; });
    left_ = sum(producers, [](Producer& state) { return state.left; });
    consumed_ = sum(consumers, [](Consumer& state) { return state.consumed; });
    sum_ = sum(consumers, [](Consumer& state) { return state.sum; });
  }

  void check() const {
    double total = 0;
    double item = 0;
    for (Count i = 0; i < items_; ++i) total += item = process(item);
    expect<Count>("items that were not produced", 0, left_);
    expect<Count>("items consumed", each_ * items_, consumed_);
    expect("sum of the items consumed", static_cast<double>(each_) * total, sum_, 1e-9);
    expect<Count>("items for which the buffer had no room", 0, peak_ - std::min(peak_, room_));
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  static constexpr Count each_ = 40;
  static constexpr Count room_ = 50;

  /// What it costs to make an item, or to consume it.
  static double process(double term) {
    PseudoRandom random{25};
    for (int i = 0; i < 25 * 100; ++i) term += std::log(random.next_fraction() + 0.01);
    return term;
  }

  struct Manager;

  struct Producer {
    void produce(Server<Producer>* self) {
      if (left == 0) return (void)manager->cast([](Manager& state) { state.take_end(); });
      --left;
      item = process(item);
      manager->cast([self, item = item](Manager& state) { state.take(item, self); });
    }

    Server<Manager>* manager;
    Count left;
    double item = 0;
  };

  struct Consumer {
    void consume(double item, Server<Consumer>* self) {
      result = process(result + item);
      sum += item;
      ++consumed;
      manager->cast([self](Manager& state) { state.serve(self); });
    }

    Server<Manager>* manager;
    double result = 0;
    double sum = 0;
    Count consumed = 0;
  };

  struct Manager {
    void take(double item, Server<Producer>* producer) {
      items.push_back(item);
      peak = std::max(peak, items.size());
      producers.push_back(producer);
      go_on();
    }
    void serve(Server<Consumer>* consumer) {
      consumers.push_back(consumer);
      go_on();
    }
    void take_end() {
      ++ended;
      go_on();
    }
    void go_on() {
      if (!items.empty() && !consumers.empty()) {
        auto* const consumer = next(consumers);
        consumer->cast([item = next(items), consumer](Consumer& c) { c.consume(item, consumer); });
      }
      if (!producers.empty() && items.size() < room_ - each_) {
        auto* const producer = next(producers);
        producer->cast([producer](Producer& state) { state.produce(producer); });
      }
      if (ended == each_ && consumers.size() == each_) finish->signal();
    }
    template <class T>
    static T next(std::deque<T>& queue) {
      const T first = queue.front();
      queue.pop_front();
      return first;
    }

    Finish* finish;
    std::deque<double> items{};
    std::deque<Server<Producer>*> producers{};
    std::deque<Server<Consumer>*> consumers{};
    Count ended = 0;
    Count peak = 0;
  };

  const Count items_;
  Count left_ = 0;
  Count consumed_ = 0;
  double sum_ = 0;
  Count peak_ = 0;
};

}  // namespace savina
