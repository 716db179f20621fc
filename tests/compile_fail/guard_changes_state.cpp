// SPDX-License-Identifier: BSL-1.0
// A guard only looks: it takes State as const.
#include <genserver/genserver.hpp>

void use(genserver::GenServer<int>& counter) {
  counter.call_when([](const int& n) { return n > 3; }, [](int& n) { n = 0; });
#ifdef GENSERVER_MUST_FAIL
  counter.call_when([](int& n) { return ++n > 3; }, [](int& n) { n = 0; });
#endif
}

// error: GuardOf
