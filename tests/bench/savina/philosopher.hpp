// SPDX-License-Identifier: BSL-1.0
// Dining philosophers, and the arbitrator that gives them forks.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <array>
#include <deque>

namespace savina {

/// Each of 20 philosophers eats 10 000 times. The arbitrator gives both forks or none; whoever gets
/// none asks again at once.
///
/// On the way: two messages for each philosopher, that he has eaten and that he is hungry again.
template <class Peer>
class Philosophers {
 public:
  static constexpr const char* name = "savina.philosopher";

  explicit Philosophers(const Run& run) : rounds_{run.scaled(10'000)} {}

  void run() {
    Finish finish;
    Server<Arbitrator> arbitrator{Arbitrator{.finish = &finish}};
    std::deque<Server<Philosopher>> table;
    for (Count seat = 0; seat < seats_; ++seat) {
      table.emplace_back(Philosopher{.seat = seat, .left = rounds_, .arbitrator = &arbitrator});
    }
    for (auto& one : table) one.cast([self = &one](Philosopher& state) { state.ask(self); });
    finish.wait();
    left_ = sum(table, [](Philosopher& state) { return state.left; });
    eaten_ = arbitrator.call([](Arbitrator& state) { return state.eaten; });
    wrong_ = arbitrator.call([](Arbitrator& state) { return state.wrong; });
  }

  void check() const {
    expect<Count>("meals that were not eaten", 0, left_);
    expect<Count>("meals", rounds_ * seats_, eaten_);
    expect<Count>("forks put down by those who had none", 0, wrong_);
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  static constexpr Count seats_ = 20;

  struct Arbitrator;

  struct Philosopher {
    void ask(Server<Philosopher>* self) {
      arbitrator->cast([self, seat = seat](Arbitrator& state) { state.serve(seat, self); });
    }
    void eat(Server<Philosopher>* self) {
      --left;
      arbitrator->cast([seat = seat](Arbitrator& state) { state.take_back(seat); });
      if (left == 0) return (void)arbitrator->cast([](Arbitrator& state) { state.take_end(); });
      self->cast([self](Philosopher& state) { state.ask(self); });
    }

    Count seat;
    Count left;
    Server<Arbitrator>* arbitrator;
  };

  struct Arbitrator {
    void serve(Count seat, Server<Philosopher>* philosopher) {
      if (is_taken[seat] || is_taken[(seat + 1) % seats_]) {
        philosopher->cast([philosopher](Philosopher& state) { state.ask(philosopher); });
      } else {
        is_taken[seat] = is_taken[(seat + 1) % seats_] = true;
        philosopher->cast([philosopher](Philosopher& state) { state.eat(philosopher); });
      }
    }
    void take_back(Count seat) {
      ++eaten;
      if (!is_taken[seat] || !is_taken[(seat + 1) % seats_]) ++wrong;
      is_taken[seat] = is_taken[(seat + 1) % seats_] = false;
    }
    void take_end() {
      if (++ended == seats_) finish->signal();
    }

    Finish* finish;
    std::array<bool, seats_> is_taken{};
    Count ended = 0;
    Count eaten = 0;
    Count wrong = 0;
  };

  const Count rounds_;
  Count left_ = 0;
  Count eaten_ = 0;
  Count wrong_ = 0;
};

}  // namespace savina
