// SPDX-License-Identifier: BSL-1.0
// A message that is sent needs handle_info in State.
#include <genserver/genserver.hpp>

struct Deposit {
  int amount;
};
struct Withdraw {
  int amount;
};
struct Account {
  void handle_info(Deposit deposit) { balance += deposit.amount; }
  int balance = 0;
};

void use(genserver::GenServer<Account>& account) {
  account.send(Deposit{5});
#ifdef GENSERVER_MUST_FAIL
  account.send(Withdraw{5});
#endif
}

// error: InfoMessageOf
