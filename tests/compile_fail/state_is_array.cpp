// SPDX-License-Identifier: BSL-1.0
// A State is no array; std::array is one.
#include <genserver/genserver.hpp>

#include <array>

void use() {
  genserver::GenServer<std::array<int, 3>> board{};
#ifdef GENSERVER_MUST_FAIL
  genserver::GenServer<int[3]> bare{};
#endif
}

// first error: State must be an object type
