// SPDX-License-Identifier: BSL-1.0
// The second translation unit of odr.cpp.
#include <iomanip>  // before the library, whose quoted() may not become std::quoted()

#include <genserver/genserver.hpp>

using IsAlive = bool (genserver::GenServer<int>::*)() const;

IsAlive second_is_alive();
int second_increment(genserver::GenServer<int>& server);

IsAlive second_is_alive() { return &genserver::GenServer<int>::is_alive; }

int second_increment(genserver::GenServer<int>& server) {
  return server.call([](int& n) { return ++n; });
}
