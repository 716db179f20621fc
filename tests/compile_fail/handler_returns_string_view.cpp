// SPDX-License-Identifier: BSL-1.0
// A handler returns a value, not a string_view into State.
#include <genserver/genserver.hpp>

#include <string>
#include <string_view>

std::string use(genserver::GenServer<std::string>& title) {
#ifdef GENSERVER_MUST_FAIL
  title.async_call([](std::string& text) { return std::string_view{text}; });
#endif
  return title.call([](std::string& text) { return text; });
}

// first error: a handler must return a value
