// SPDX-License-Identifier: BSL-1.0
// A handler takes the State of its server, not another one.
#include <genserver/genserver.hpp>

#include <string>

void use(genserver::GenServer<int>& counter) {
  counter.cast([](int& n) { ++n; });
#ifdef GENSERVER_MUST_FAIL
  counter.cast([](std::string& text) { text.clear(); });
#endif
}

// error: HandlerOf
