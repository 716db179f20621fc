// SPDX-License-Identifier: BSL-1.0
// State::terminate takes the reason, or the server would not call it.
#include <genserver/genserver.hpp>

struct Log {
  void terminate(const genserver::ExitReason&) { ++entries; }
  int entries = 0;
};
struct Journal {
  void terminate() { ++entries; }
  int entries = 0;
};

void use() {
  genserver::GenServer<Log> log{};
#ifdef GENSERVER_MUST_FAIL
  genserver::GenServer<Journal> journal{};
#endif
}

// only error: State::terminate has to take const ExitReason&
