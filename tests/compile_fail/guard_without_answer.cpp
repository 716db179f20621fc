// SPDX-License-Identifier: BSL-1.0
// A guard says yes or no.
#include <genserver/genserver.hpp>

void use(genserver::GenServer<int>& counter) {
  counter.call_when([](const int& n) { return n > 3; }, [](int& n) { n = 0; });
#ifdef GENSERVER_MUST_FAIL
  counter.call_when([](const int&) {}, [](int& n) { n = 0; });
#endif
}

// error: GuardOf
