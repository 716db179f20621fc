// SPDX-License-Identifier: BSL-1.0
// A State is an object, not a reference to one.
#include <genserver/genserver.hpp>

void use(int& n) {
  genserver::GenServer<int> counter{{}, n};
#ifdef GENSERVER_MUST_FAIL
  genserver::GenServer<int&> shared{{}, n};
#endif
}

// first error: State must be an object type
