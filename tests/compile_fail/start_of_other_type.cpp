// SPDX-License-Identifier: BSL-1.0
// start<T>() makes what derives from GenServer, not any type.
#include <genserver/genserver.hpp>

#include <string>

struct Counter : genserver::GenServer<int> {
  using GenServer::GenServer;
};

void use() {
  const auto counter = genserver::start<Counter>();
#ifdef GENSERVER_MUST_FAIL
  const auto other = genserver::start<std::string>();
#endif
}

// error: derives publicly from GenServer
