// SPDX-License-Identifier: BSL-1.0
// A supervisor starts what derives from GenServer.
#include <genserver/genserver.hpp>

struct Account {};

class Counter : public genserver::GenServer<int> {
 public:
  Counter() : GenServer({}, 0) {}
};

void use(genserver::Supervisor& supervisor) {
  supervisor.start_child<Counter>({.id = "counter"});
#ifdef GENSERVER_MUST_FAIL
  supervisor.start_child<Account>({.id = "account"});
#endif
}

// error: a child is a T that derives publicly from GenServer
