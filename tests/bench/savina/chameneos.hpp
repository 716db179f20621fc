// SPDX-License-Identifier: BSL-1.0
// Chameneos, who change their colour when two of them meet.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <deque>
#include <utility>

namespace savina {

/// 100 creatures go to the mall, which brings them together in pairs, 200 000 times. Then it lets
/// each fade, and each reports how often it met another.
///
/// On the way: one message for each creature; none while it waits in the mall for another.
template <class Peer>
class Chameneos {
 public:
  static constexpr const char* name = "savina.chameneos";

  explicit Chameneos(const Run& run) : meetings_{run.scaled(200'000)} {}

  void run() {
    Finish finish;
    Server<Mall> mall{Mall{.left = meetings_, .finish = &finish}};
    std::deque<Server<Creature>> creatures;
    for (Count i = 0; i < creatures_; ++i) {
      creatures.emplace_back(Creature{.mall = &mall, .colour = Colour(i % 3)});
    }
    for (auto& creature : creatures) {
      creature.cast([self = &creature](Creature& state) { state.enter(self); });
    }
    finish.wait();
    reported_ = mall.call([](Mall& state) { return state.met; });
    met_ = sum(creatures, [](Creature& state) { return state.met; });
  }

  void check() const {
    expect<Count>("creatures that met another", 2 * meetings_, met_);
    expect<Count>("creatures that met another, as the mall was told", 2 * meetings_, reported_);
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  static constexpr Count creatures_ = 100;

  enum class Colour { red, yellow, blue, faded };

  static Colour complement(Colour a, Colour b) {
    if (a == Colour::faded || b == Colour::faded) return Colour::faded;
    return a == b ? a : Colour(3 - static_cast<int>(a) - static_cast<int>(b));
  }

  struct Mall;

  struct Creature {
    void enter(Server<Creature>* creature) {
      self = creature;
      mall->cast([self = self, colour = colour](Mall& state) { state.receive(self, colour); });
    }
    void meet(Server<Creature>* other, Colour its_colour) {
      const Colour changed = complement(colour, its_colour);
      other->cast([changed](Creature& state) { state.change(changed); });
      change(changed);
    }
    void change(Colour changed) {
      colour = changed;
      ++met;
      enter(self);
    }
    void fade() {
      colour = Colour::faded;
      mall->cast([met = met](Mall& state) { state.take_report(met); });
    }

    Server<Mall>* mall;
    Colour colour;
    Server<Creature>* self = nullptr;
    Count met = 0;
  };

  struct Mall {
    void receive(Server<Creature>* creature, Colour colour) {
      if (left == 0) return (void)creature->cast([](Creature& state) { state.fade(); });
      Server<Creature>* const other = std::exchange(waiting, waiting ? nullptr : creature);
      if (other == nullptr) return;
      --left;
      other->cast([creature, colour](Creature& state) { state.meet(creature, colour); });
    }
    void take_report(Count meetings) {
      met += meetings;
      if (++faded == creatures_) finish->signal();
    }

    Count left;
    Finish* finish;
    Server<Creature>* waiting = nullptr;
    Count met = 0;
    Count faded = 0;
  };

  const Count meetings_;
  Count met_ = 0;
  Count reported_ = 0;
};

}  // namespace savina
