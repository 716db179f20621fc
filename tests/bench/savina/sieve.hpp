// SPDX-License-Identifier: BSL-1.0
// The sieve of Eratosthenes as a chain of servers.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <algorithm>
#include <deque>
#include <vector>

namespace savina {

/// A producer sends the odd numbers below 100 000 through a chain of filters. Each filter keeps the
/// first 1 000 primes that reach it, and makes the next filter when another comes.
///
/// On the way: as many messages as the mailboxes hold. Each server waits at most for room in the
/// one behind it, and the last for nothing.
template <class Peer>
class Sieve {
 public:
  static constexpr const char* name = "savina.sieve";

  explicit Sieve(const Run& run)
      : end_{std::max<Count>(10, run.scaled(100'000))}, primes_each_{run.scaled(1'000)} {}

  void run() {
    Finish finish;
    std::deque<Server<Filter>> chain;
    chain.emplace_back(
        Filter{.most = primes_each_, .chain = &chain, .finish = &finish, .primes = {2}});
    Server<Producer> producer{};
    producer.cast([first = &chain.front(), end = end_](Producer&) { produce(*first, end); });
    finish.wait();
    producer.call([](Producer&) {});
    found_ = sum(chain, [](Filter& state) { return state.primes.size(); });
  }

  void check() const {
    std::vector<bool> is_composite(end_);
    Count primes = 0;
    for (Count i = 2; i < is_composite.size(); ++i) {
      if (is_composite[i]) continue;
      ++primes;
      for (Count k = i * i; k < is_composite.size(); k += i) is_composite[k] = true;
    }
    expect<Count>("primes", primes, found_);
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  struct Producer {};

  struct Filter {
    void take(Count candidate) {
      for (const Count prime : primes) {
        if (candidate % prime == 0) return;
      }
      if (next != nullptr) {
        next->cast([candidate](Filter& state) { state.take(candidate); });
      } else if (primes.size() < most) {
        primes.push_back(candidate);
      } else {
        next = &chain->emplace_back(Filter{most, chain, finish, {candidate}});
      }
    }
    void end() {
      if (next == nullptr) return finish->signal();
      next->cast([](Filter& state) { state.end(); });
    }

    Count most;
    std::deque<Server<Filter>>* chain;  // only its last filter adds to it
    Finish* finish;
    std::vector<Count> primes;
    Server<Filter>* next = nullptr;
  };

  static void produce(Server<Filter>& first, Count end) {
    for (Count candidate = 3; candidate < end; candidate += 2) {
      first.cast([candidate](Filter& state) { state.take(candidate); });
    }
    first.cast([](Filter& state) { state.end(); });
  }

  const Count end_;
  const Count primes_each_;
  Count found_ = 0;
};

}  // namespace savina
