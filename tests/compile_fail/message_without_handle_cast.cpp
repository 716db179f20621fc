// SPDX-License-Identifier: BSL-1.0
// A message that is cast needs handle_cast in State.
#include <genserver/genserver.hpp>

struct Deposit {
  int amount;
};
struct Withdraw {
  int amount;
};
struct Account {
  void handle_cast(Deposit deposit) { balance += deposit.amount; }
  int balance = 0;
};

void use(genserver::GenServer<Account>& account) {
  account.cast(Deposit{5});
#ifdef GENSERVER_MUST_FAIL
  account.cast(Withdraw{5});
#endif
}

// error: CastMessageOf
