// SPDX-License-Identifier: BSL-1.0
// A message that is called needs handle_call in State.
#include <genserver/genserver.hpp>

struct Deposit {
  int amount;
};
struct Withdraw {
  int amount;
};
struct Account {
  void handle_call(Deposit deposit) { balance += deposit.amount; }
  int balance = 0;
};

void use(genserver::GenServer<Account>& account) {
  account.call(Deposit{5});
#ifdef GENSERVER_MUST_FAIL
  account.call(Withdraw{5});
#endif
}

// error: CallMessageOf
