// SPDX-License-Identifier: BSL-1.0
// A handler returns a value, not a reference into State.
#include <genserver/genserver.hpp>

#include <string>

std::string use(genserver::GenServer<std::string>& title) {
#ifdef GENSERVER_MUST_FAIL
  title.call([](std::string& text) -> const std::string& { return text; });
#endif
  return title.call([](std::string& text) { return text; });
}

// first error: a handler must return a value
