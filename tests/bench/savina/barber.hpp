// SPDX-License-Identifier: BSL-1.0
// The sleeping barber, his waiting room, and his customers.
// Longer than others, since five kinds of servers take part.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <deque>
#include <memory>
#include <random>
#include <utility>

namespace savina {

/// A street makes 5 000 customers, each a server, and sends them into a waiting room for 1 000,
/// from where the barber fetches them; whom the room has no place for comes again. Between two
/// customers, and for each haircut, street and barber draw 10 to 1 009 random numbers.
///
/// A customer is owned by whoever has it: the street, the room, the barber, and at last the door,
/// which stops it, so that nobody else has to wait for its end. What a full room tells a customer
/// owns it too, and goes back with it to the street.
///
/// On the way: one message for each customer that there is, to whoever has it. The suite's street
/// makes all customers in one handler; here it makes one for each message to itself, so that it
/// hears in between who comes back, and the messages do not pile up.
template <class Peer>
class SleepingBarber {
 public:
  static constexpr const char* name = "savina.barber";

  explicit SleepingBarber(const Run& run)
      : haircuts_{run.scaled(5'000)}, chairs_{run.scaled(1'000)} {}

  void run() {
    Finish finish;
    Server<Door> door;
    Server<Barber> barber{Barber{.door = &door, .finish = &finish}};
    Server<Room> room{Room{chairs_, &barber}};
    Server<Street> street{Street{.customers = haircuts_, .room = &room}};
    room.cast([self = &room](Room& state) { state.self = self; });
    street.cast([self = &street](Street& state) { state.make_customer(self); });
    finish.wait();
    served_ = street.call([](Street& state) { return state.served; });
    entered_ = room.call([](Room& state) { return state.entered; });
    turned_away_ = room.call([](Room& state) { return state.turned_away; });
    returned_ = street.call([](Street& state) { return state.returned; });
    cut_ = barber.call([](Barber& state) { return state.cut; });
    left_ = door.call([](Door& state) { return state.left; });
  }

  void check() const {
    expect<Count>("customers that the barber served", haircuts_, cut_);
    expect<Count>("customers that were served", haircuts_, served_);
    expect<Count>("customers that left", haircuts_, left_);
    expect<Count>("customers that found a place", haircuts_, entered_);
    expect<Count>("customers that came again", turned_away_, returned_);
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  struct Customer;
  struct Room;
  struct Street;
  using CustomerPtr = std::shared_ptr<Server<Customer>>;

  struct Clock {
    void pass() {
      for (Count left = pauses.next(1'000) + 10; left > 0; --left) sum += draw(numbers);
    }

    PseudoRandom pauses{};
    std::mt19937_64 numbers{};
    std::uniform_real_distribution<double> draw{};
    double sum = 0;  // which keeps the numbers from being optimised away
  };

  struct Customer {
    void return_to_street(CustomerPtr self) {
      street->cast([self = std::move(self)](Street& state) mutable {
        ++state.returned;
        state.send(std::move(self));
      });
    }
    void leave() {
      street->cast([is_served = is_served](Street& state) { state.take_back(is_served); });
    }

    Server<Street>* street;
    bool is_served = false;
  };

  struct Street {
    void make_customer(Server<Street>* self) {
      send(std::make_shared<Server<Customer>>(Customer{.street = self}));
      clock.pass();
      if (++made < customers) self->cast([self](Street& state) { state.make_customer(self); });
    }
    void send(CustomerPtr one) {
      room->cast([one = std::move(one)](Room& state) mutable { state.enter(std::move(one)); });
    }
    void take_back(bool is_served) {
      served += Count{is_served};
      if (++back == customers) room->cast([](Room& state) { state.close(); });
    }

    Count customers;
    Server<Room>* room;
    Clock clock{};
    Count made = 0;
    Count back = 0;
    Count served = 0;
    Count returned = 0;
  };

  struct Door {
    Count left = 0;
  };

  struct Barber {
    void serve(CustomerPtr customer, Server<Room>* room) {
      customer->cast([](Customer& state) { state.is_served = true; });
      clock.pass();
      ++cut;
      customer->cast([](Customer& state) { state.leave(); });
      door->cast([customer = std::move(customer)](Door& state) mutable {
        customer.reset();
        ++state.left;
      });
      room->cast([](Room& state) { state.fetch_next(); });
    }

    Server<Door>* door;
    Finish* finish;
    Clock clock{};
    Count cut = 0;
  };

  struct Room {
    void enter(CustomerPtr customer) {
      Server<Customer>& server = *customer;
      if (waiting.size() == chairs) {
        ++turned_away;
        return (void)server.cast([customer = std::move(customer)](Customer& state) mutable {
          state.return_to_street(std::move(customer));
        });
      }
      ++entered;
      waiting.push_back(std::move(customer));
      if (std::exchange(is_barber_asleep, false)) {
        self->cast([](Room& state) { state.fetch_next(); });
      } else {
        server.cast([](Customer&) {});  // is told to wait
      }
    }
    void fetch_next() {
      is_barber_asleep = waiting.empty();
      if (is_barber_asleep) return (void)barber->cast([](Barber&) {});  // is told to sleep
      barber->cast([room = self, next = std::move(waiting.front())](Barber& state) mutable {
        state.serve(std::move(next), room);
      });
      waiting.pop_front();
    }
    void close() {
      barber->cast([](Barber& state) { state.finish->signal(); });
    }

    Count chairs;
    Server<Barber>* barber;
    Server<Room>* self = nullptr;
    std::deque<CustomerPtr> waiting{};
    bool is_barber_asleep = true;
    Count entered = 0;
    Count turned_away = 0;
  };

  const Count haircuts_;
  const Count chairs_;
  Count cut_ = 0;
  Count served_ = 0;
  Count left_ = 0;
  Count entered_ = 0;
  Count returned_ = 0;
  Count turned_away_ = 0;
};

}  // namespace savina
