// SPDX-License-Identifier: BSL-1.0
// Random services, started and halted at random by several threads, and what must hold then.
#pragma once

#include <genserver/core/snapshot.hpp>
#include <genserver/otp/runner.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fuzz {

using Microseconds = std::chrono::microseconds;
using Random = std::mt19937_64;

/// How random things are: shares of a hundred, and longest times.
struct Profile {
  std::string name{};
  std::size_t services = 12;
  unsigned fails_before_ready = 0;
  unsigned fails_after_ready = 0;
  unsigned fails_halting = 0;
  unsigned never_ready = 0;
  unsigned returns_unasked = 0;  ///< After a while of `runs`.
  unsigned exits = 0;            ///< Of the threads' steps: an exit signal, or a kill.
  unsigned suspends = 0;         ///< Of the threads' steps.
  unsigned listens = 0;          ///< Of the ends: their listener uses the runner.
  Microseconds starts{0};        ///< How long a service takes to be ready.
  Microseconds runs{0};
  Microseconds halts{0};         ///< How long it takes to halt, whatever one does.
  Microseconds patience{10'000'000};
  bool is_happy = false;         ///< Nothing may fail.
};

/// Returns the profiles, from the quiet to the wild.
inline std::vector<Profile> profiles() {
  using namespace std::chrono_literals;
  return {
      {.name = "happy", .starts = 300us, .is_happy = true},
      {.name = "turnover", .services = 2, .is_happy = true},
      {.name = "reasonable", .fails_before_ready = 1, .fails_after_ready = 2,
       .returns_unasked = 2, .starts = 100us, .runs = 5ms, .halts = 100us},
      {.name = "impatient", .returns_unasked = 100},
      {.name = "messy", .services = 6, .fails_before_ready = 5, .fails_after_ready = 5,
       .fails_halting = 5, .never_ready = 5, .returns_unasked = 20, .exits = 2, .suspends = 1,
       .listens = 20, .starts = 2ms, .runs = 3ms, .halts = 3ms, .patience = 2ms},
  };
}

/// What happened; `faults` is what must not.
struct Outcome {
  std::uint64_t seed = 0;
  std::size_t steps = 0;
  std::size_t starts = 0;
  std::size_t ends = 0;
  std::size_t failures = 0;
  std::map<std::string, std::size_t> faults{};
};

/// Lets threads play with services for some time, and shuts down.
class ServiceFuzzer {
 public:
  ServiceFuzzer(Profile profile, std::uint64_t seed) : profile_{std::move(profile)}, seed_{seed} {}

  Outcome run(std::chrono::steady_clock::duration duration);

 private:
  using State = genserver::ServiceState;
  using Kind = genserver::ServiceError::Kind;

  /// What a run is going to do.
  struct Plan {
    Microseconds starts{};
    Microseconds runs{};
    Microseconds halts{};
    bool fails_before_ready = false;
    bool fails_after_ready = false;
    bool fails_halting = false;
    bool never_ready = false;
    bool returns_unasked = false;
  };

  void fault(const std::string& what) {
    const std::scoped_lock lock{mutex_};
    ++faults_[what];
  }
  static bool happens(Random& random, unsigned percent) { return random() % 100 < percent; }
  static Microseconds up_to(Random& random, Microseconds most) {
    const auto bound = static_cast<std::uint64_t>(most.count()) + 1;
    return Microseconds{static_cast<Microseconds::rep>(random() % bound)};
  }

  Plan plan();
  void play(genserver::ServiceContext& context);
  void check(const genserver::ServiceChange& change);
  void check(const genserver::ServiceEnd& end);
  void listen(const genserver::ServiceEnd& end, genserver::Runner& runner);
  void check(const genserver::ServiceError& error);
  void step(Random& random, genserver::Runner& runner);
  void attempt(const std::function<void()>& action);
  void end_from_outside(Random& random, const genserver::Runner& runner,
                        const genserver::Service& service);
  void finish(genserver::Runner& runner);
  std::vector<genserver::Service> some(Random& random);

  const Profile profile_;
  const std::uint64_t seed_;
  std::vector<genserver::Service> services_{};

  std::atomic<std::uint64_t> plans_{0};  // relaxed, all of them: numbers that publish nothing
  std::atomic<std::size_t> steps_{0};
  std::atomic<std::size_t> starts_{0};
  std::atomic<std::size_t> ends_{0};
  std::atomic<std::size_t> failures_{0};

  std::mutex mutex_{};
  std::map<std::string, std::size_t> faults_{};  // guarded by mutex_
};

inline ServiceFuzzer::Plan ServiceFuzzer::plan() {
  Random random{seed_ * 1'000'003 + plans_.fetch_add(1, std::memory_order_relaxed)};
  Plan plan;
  plan.starts = up_to(random, profile_.starts);
  plan.runs = up_to(random, profile_.runs);
  plan.halts = up_to(random, profile_.halts);
  plan.fails_before_ready = happens(random, profile_.fails_before_ready);
  plan.fails_after_ready = happens(random, profile_.fails_after_ready);
  plan.fails_halting = happens(random, profile_.fails_halting);
  plan.never_ready = happens(random, profile_.never_ready);
  plan.returns_unasked = happens(random, profile_.returns_unasked);
  return plan;
}

/// What every service does.
inline void ServiceFuzzer::play(genserver::ServiceContext& context) {
  const Plan plan = this->plan();
  if (plan.starts.count() > 0) context.sleep_for(plan.starts);
  if (plan.fails_before_ready) throw std::runtime_error{"fails before it is ready"};
  if (plan.never_ready) return;
  context.ready();
  if (plan.fails_after_ready) throw std::runtime_error{"fails after it is ready"};
  if (plan.returns_unasked) {
    if (!context.sleep_for(plan.runs)) return;
  } else {
    context.await_halt();
  }
  if (!context.should_halt()) fault("a wait for the halt has ended without one");
  if (plan.halts.count() > 0) std::this_thread::sleep_for(plan.halts);
  if (plan.fails_halting) throw std::runtime_error{"fails as it halts"};
}

inline void ServiceFuzzer::check(const genserver::ServiceChange& change) {
  const bool is_known = (change.from == State::halted && change.to == State::starting) ||
                        (change.from == State::starting && change.to != State::halted) ||
                        (change.from == State::started && change.to == State::halting) ||
                        (change.from == State::started && change.to == State::ended) ||
                        (change.from == State::halting && change.to == State::ended);
  if (!is_known) {
    fault(std::string{"from "} + to_string(change.from) + " to " + to_string(change.to));
  }
  if (change.to == State::starting) starts_.fetch_add(1, std::memory_order_relaxed);
}

inline void ServiceFuzzer::check(const genserver::ServiceEnd& end) {
  ends_.fetch_add(1, std::memory_order_relaxed);
  if (!end.reason.is_abnormal()) return;
  failures_.fetch_add(1, std::memory_order_relaxed);
  if (profile_.is_happy) fault("an end: " + end.reason.what());
}

/// What a listener of an end may do: use the runner, and wait.
inline void ServiceFuzzer::listen(const genserver::ServiceEnd& end, genserver::Runner& runner) {
  Random random{seed_ * 1'000'003 + plans_.fetch_add(1, std::memory_order_relaxed)};
  if (!happens(random, profile_.listens)) return;
  switch (random() % 3) {
    case 0: return attempt([&] { runner.start(end.service); });
    case 1: return attempt([&] { runner.halt(end.service); });
    default: return attempt([&] { runner.halt(some(random)); });
  }
}

/// What start() and halt() may say.
inline void ServiceFuzzer::check(const genserver::ServiceError& error) {
  const bool is_usual = error.kind() == Kind::already_running || error.kind() == Kind::halted ||
                        error.kind() == Kind::not_enabled;
  if (profile_.is_happy && !is_usual) fault(error.what());
}

inline void ServiceFuzzer::attempt(const std::function<void()>& action) {
  try {
    action();
  } catch (const genserver::ServiceErrors& errors) {
    for (const genserver::ServiceFailure& each : errors.failures()) {
      attempt([&] { std::rethrow_exception(each.reason.cause()); });
    }
  } catch (const genserver::ServiceError& error) {
    check(error);
  } catch (const std::exception& error) {
    if (profile_.is_happy) fault(error.what());
  }
}

inline std::vector<genserver::Service> ServiceFuzzer::some(Random& random) {
  std::vector<genserver::Service> found;
  const std::size_t count = 1 + random() % 3;
  for (std::size_t i = 0; i < count; ++i) {
    const genserver::Service& service = services_[random() % services_.size()];
    if (std::find(found.begin(), found.end(), service) == found.end()) found.push_back(service);
  }
  return found;
}

inline void ServiceFuzzer::end_from_outside(Random& random, const genserver::Runner& runner,
                                            const genserver::Service& service) {
  const auto server = runner.whereis(service);
  if (!server) return;
  switch (random() % 3) {
    case 0: return server->kill();
    case 1: return server->exit(genserver::ExitReason::shutdown("fuzz"));
    default: return server->request_stop();
  }
}

/// One thing that a thread does.
inline void ServiceFuzzer::step(Random& random, genserver::Runner& runner) {
  const genserver::Service& service = services_[random() % services_.size()];
  const Microseconds patience = up_to(random, profile_.patience);
  const auto long_patience = profile_.is_happy ? profile_.patience : patience;
  if (happens(random, profile_.exits)) return end_from_outside(random, runner, service);
  if (happens(random, profile_.suspends)) {
    runner.suspend();
    return runner.enable();
  }
  switch (random() % 10) {
    case 0:
    case 1: return attempt([&] { runner.start(service); });
    case 2: return attempt([&] { runner.start_for(long_patience, service); });
    case 3: return attempt([&] { runner.start(some(random)); });
    case 4: return attempt([&] { runner.halt(service); });
    case 5: return attempt([&] { runner.halt_for(long_patience, service); });
    case 6: return attempt([&] { runner.halt(some(random)); });
    case 7: return runner.request_halt(service);
    case 8: return static_cast<void>(runner.state(service));
    default:
      for (const genserver::ServiceSnapshot& each : runner.services()) {
        if (each.state == State::halted) fault("a halted service is listed");
      }
  }
}

inline void ServiceFuzzer::finish(genserver::Runner& runner) {
  attempt([&] { runner.shutdown(); });
  // A killed service is let go at once; its thread ends when it finds out.
  const auto is_over = [&] {
    const genserver::Snapshot all = genserver::snapshot();
    return runner.services().empty() &&
           std::none_of(all.servers.begin(), all.servers.end(), [](const auto& server) {
             return server.name.starts_with("fuzzed ");
           });
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (!is_over() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  if (!is_over()) fault("a service is left");
  if (starts_ != ends_) fault("starts and ends are not equal");
}

inline Outcome ServiceFuzzer::run(std::chrono::steady_clock::duration duration) {
  for (std::size_t i = 0; i < profile_.services; ++i) {
    services_.push_back({"fuzzed " + std::to_string(i),
                         [this](genserver::ServiceContext& context) { play(context); }});
  }
  {
    genserver::Runner runner{{.on_end =
                                  [this, &runner](const auto& end) {
                                    check(end);
                                    listen(end, runner);
                                  },
                              .on_state = [this](const auto& change) { check(change); }}};
    const auto end = std::chrono::steady_clock::now() + duration;
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        Random random{seed_ + i};
        for (; std::chrono::steady_clock::now() < end; ++steps_) step(random, runner);
      });
    }
    for (std::thread& thread : threads) thread.join();
    finish(runner);
  }
  return {seed_, steps_, starts_, ends_, failures_, faults_};
}

}  // namespace fuzz
