// SPDX-License-Identifier: BSL-1.0
// What knows servers is named by their State, not by the class that derives from GenServer.
#include <genserver/genserver.hpp>

struct Ledger {};
class Account : public genserver::GenServer<Ledger> {
 public:
  Account() : GenServer({}) {}
};

// Inside of the class, which is not complete yet.
class Branch : public genserver::GenServer<int> {
 public:
  Branch() : GenServer({}, 0) {}

 private:
  genserver::Registry<Branch::state_type> desks_{};
};

void use(const Account& account) {
  genserver::Registry<Account::state_type> names;
  genserver::Group<Ledger> groups;
  names.register_name("Ann", account);
  groups.join("savings", account);
  genserver::self<Account::state_type>().request_stop();
#ifdef GENSERVER_MUST_FAIL
  genserver::Registry<Account> others;
  genserver::Group<Account> other_groups;
  genserver::self<Account>().request_stop();
#endif
}

// only error: name the State, as Counter::state_type
// only error: name the State, as Counter::state_type
// only error: name the State, as Counter::state_type
