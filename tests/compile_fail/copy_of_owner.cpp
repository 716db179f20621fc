// SPDX-License-Identifier: BSL-1.0
// An owner is not copied; a reference is.
#include <genserver/genserver.hpp>

void use(genserver::GenServer<int>& counter) {
  const genserver::ServerRef<int> reference = counter;
  reference.request_stop();
#ifdef GENSERVER_MUST_FAIL
  genserver::GenServer<int> copy{counter};
#endif
}

// error: deleted
// error: GenServer
