// SPDX-License-Identifier: BSL-1.0
// A bank whose accounts send money to each other.
// Longer than others, since an account is a state machine that puts messages aside.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

namespace savina {

/// A teller orders 50 000 transfers between 1 000 accounts. The account that pays tells the other,
/// waits for its answer, and tells the teller; what comes meanwhile it puts aside, and sends to
/// itself later. Money is counted in cents, so that each balance can be checked.
///
/// On the way: one message for each transfer. The suite orders all at once; here 2 000 are under
/// way at a time, and each that ends makes room for the next, so that no mailbox is ever full.
template <class Peer>
class Banking {
 public:
  static constexpr const char* name = "savina.banking";

  explicit Banking(const Run& run)
      : orders_{run.scaled(50'000)}, accounts_{std::max<Count>(10, run.scaled(1'000))} {}

  void run() {
    Finish finish;
    std::deque<Server<Account>> accounts;
    Server<Teller> teller{Teller{&accounts, &finish, orders_, Transfers{accounts_}}};
    for (Count i = 0; i < accounts_; ++i) accounts.emplace_back(Account{.teller = &teller});
    for (auto& one : accounts) one.cast([self = &one](Account& state) { state.self = self; });
    teller.cast([](Teller& state) { state.order_first(); });
    finish.wait();
    made_ = teller.call([](Teller& state) { return state.made; });
    for (auto& account : accounts) {
      balances_.push_back(account.call([](Account& state) { return state.balance; }));
    }
  }

  void check() const {
    std::vector<Cents> balances(accounts_);
    Transfers transfers{accounts_};
    for (Count i = 0; i < orders_; ++i) {
      const auto [from, to, cents] = transfers.next();
      balances[from] -= cents;
      balances[to] += cents;
    }
    expect("transfers made", orders_, made_);
    for (Count i = 0; i < balances.size(); ++i) {
      expect("balance of account " + std::to_string(i), balances[i], balances_.at(i));
    }
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;
  using Cents = std::int64_t;

  struct Transfer {
    Count from;
    Count to;
    Cents cents;
  };

  /// As in the suite, money goes to an account with a greater number, so that no circle of
  /// accounts waits for each other.
  struct Transfers {
    Transfer next() {
      const Count from = random.next(accounts / 10 * 8);
      const Count to = from + std::max<Count>(1, random.next(accounts - from));
      const Cents cents = std::llround(random.next_fraction() * 1000 * 100);
      return {from, to, cents};
    }

    Count accounts;
    PseudoRandom random{123456};
  };

  struct Account;
  struct Teller;

  /// What an account is told: to pay, which the teller orders, or that another pays.
  struct Order {
    Server<Account>* other;
    Cents cents;
    bool pays;
  };

  struct Account {
    void take(Order order) {
      if (is_awaiting_answer) return aside.push_back(order);
      if (order.pays) {
        balance -= order.cents;
        is_awaiting_answer = true;
        order.other->cast([payer = self, cents = order.cents](Account& state) {
          state.take({.other = payer, .cents = cents, .pays = false});
        });
      } else {
        balance += order.cents;
        order.other->cast([](Account& state) { state.take_answer(); });
        resume();
      }
    }
    void take_answer() {
      is_awaiting_answer = false;
      teller->cast([](Teller& state) { state.take_end(); });
      resume();
    }
    void resume() {
      if (aside.empty()) return;
      self->cast([order = aside.front()](Account& state) { state.take(order); });
      aside.pop_front();
    }

    Server<Teller>* teller;
    Server<Account>* self = nullptr;
    Cents balance = 0;
    bool is_awaiting_answer = false;
    std::deque<Order> aside{};
  };

  struct Teller {
    void order_first() {
      for (Count i = 0; i < 2'000; ++i) order_next();
    }
    void order_next() {
      if (ordered == orders) return;
      ++ordered;
      const auto [from, to, cents] = transfers.next();
      const Order order{.other = &(*accounts)[to], .cents = cents, .pays = true};
      (*accounts)[from].cast([order](Account& state) { state.take(order); });
    }
    void take_end() {
      if (++made == orders) finish->signal();
      order_next();
    }

    std::deque<Server<Account>>* accounts;
    Finish* finish;
    Count orders;
    Transfers transfers;
    Count ordered = 0;
    Count made = 0;
  };

  const Count orders_;
  const Count accounts_;
  Count made_ = 0;
  std::vector<Cents> balances_{};
};

}  // namespace savina
