// SPDX-License-Identifier: BSL-1.0
// A time has a unit, and a deadline is a point of the clock that nobody sets.
#include <genserver/genserver.hpp>

#include <chrono>

void use(genserver::GenServer<int>& counter) {
  const auto next = [](int& n) { return ++n; };
  counter.call_for(std::chrono::milliseconds{100}, next);
  counter.call_until(std::chrono::steady_clock::now() + std::chrono::seconds{1}, next);
#ifdef GENSERVER_MUST_FAIL
  counter.call_for(100, next);
  counter.call_until(std::chrono::system_clock::now() + std::chrono::seconds{1}, next);
  counter.cast_for(100L, next);
  counter.cast_after(0.1, next);
  counter.cast_every(1U, next);
#endif
}

// only error: give the time as a std::chrono::duration, as 100ms, not a number
// only error: give the deadline as a time_point of std::chrono::steady_clock
// only error: give the time as a std::chrono::duration, as 100ms, not a number
// only error: give the time as a std::chrono::duration, as 100ms, not a number
// only error: give the time as a std::chrono::duration, as 100ms, not a number
