// SPDX-License-Identifier: BSL-1.0
// A handler returns a value, not an iterator into State.
#include <genserver/genserver.hpp>

#include <vector>

int use(genserver::GenServer<std::vector<int>>& scores) {
#ifdef GENSERVER_MUST_FAIL
  scores.call([](std::vector<int>& all) { return all.begin(); });
#endif
  return scores.call([](std::vector<int>& all) { return *all.begin(); });
}

// first error: a handler must return a value
