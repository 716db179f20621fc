// SPDX-License-Identifier: BSL-1.0
// start<T>() makes what derives from GenServer.
#include <genserver/genserver.hpp>

struct Counter : genserver::GenServer<int> {
  using GenServer::GenServer;
};

class Hidden : genserver::GenServer<int> {
 public:
  using state_type = int;
};

void use() {
  const auto counter = genserver::start<Counter>();
#ifdef GENSERVER_MUST_FAIL
  const auto other = genserver::start<Hidden>();
#endif
}

// error: derives publicly from GenServer
