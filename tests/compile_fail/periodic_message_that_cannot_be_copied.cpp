// SPDX-License-Identifier: BSL-1.0
// A message that is cast again and again is copied each time.
#include <genserver/genserver.hpp>

#include <chrono>
#include <memory>

struct Tick {
  std::unique_ptr<int> count{};
};
struct Clock {
  void handle_cast(Tick) {}
};

void use(genserver::GenServer<Clock>& clock) {
  clock.cast_after(std::chrono::seconds{1}, Tick{});
#ifdef GENSERVER_MUST_FAIL
  clock.cast_every(std::chrono::seconds{1}, Tick{});
#endif
}

// error: PeriodicMessageOf
