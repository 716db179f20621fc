// SPDX-License-Identifier: BSL-1.0
// A model: a few threads that use what is checked, and what must hold whatever their order.
#pragma once

#include <models/checked.hpp>

#include <deque>
#include <memory>

namespace model {

/// Lets the others go first, for a random number of steps.
inline void dawdle() {
  if (!rl::ctx().is_random_sched()) return;  // all orders are tried anyway
  for (unsigned left = rl::rand(40); left > 0; --left) rl::yield(1, Place::here());
}

/// One run: made anew for each order of the threads' steps that is tried.
class Suite {
 public:
  Suite() = default;
  Suite(const Suite&) = delete;
  Suite& operator=(const Suite&) = delete;
  virtual ~Suite() = default;

  /// What the thread with this number does; all of them together have to end.
  virtual void run(int thread) = 0;
  /// What must hold when they have ended.
  virtual void check() {}
};

/// How a suite is run.
struct Plan {
  const char* name = nullptr;
  int threads = 2;         // 2 to 4
  unsigned runs = 30'000;  // in a random order each
  bool is_timed = false;   // deadlines can pass
  unsigned switches = 0;   // then all orders with so many switches of the thread; 0: none
  std::unique_ptr<Suite> (*make)() = nullptr;
};

/// All suites, in the order of their files.
inline std::deque<Plan>& plans() {
  static std::deque<Plan> all;
  return all;
}

/// Adds a suite: `const Registration<Parking> parking{{.name = "parking"}};`
template <class Kind>
struct Registration {
  explicit Registration(Plan plan) {
    plan.make = []() -> std::unique_ptr<Suite> { return std::make_unique<Kind>(); };
    plans().push_back(plan);
  }
};

}  // namespace model
