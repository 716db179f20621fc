// SPDX-License-Identifier: BSL-1.0
// The State is what a server guards, not the class that derives from GenServer.
#include <genserver/genserver.hpp>

class Counter : public genserver::GenServer<int> {
 public:
  Counter() : GenServer({.name = "counter"}, 0) {}
};

#ifdef GENSERVER_MUST_FAIL
class Endless : public genserver::GenServer<Endless> {
 public:
  Endless() : GenServer({.name = "endless"}) {}
};
#endif

// first error: State is what the server guards
