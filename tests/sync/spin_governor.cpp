// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/spin_governor.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>

#include <cstddef>
#include <random>
#include <thread>
#include <vector>

using genserver::SpinGovernor;

namespace {

/// Makes a wait whose spin would end as `pays` says. Returns whether it began with a spin.
bool wait(SpinGovernor& governor, bool pays) {
  const bool spins = governor.begins_with_spin();
  if (spins) governor.record(pays);
  return spins;
}

/// Makes `count` waits, and returns how many began with a spin.
int wait_often(SpinGovernor& governor, int count, bool pays) {
  int spins = 0;
  for (int i = 0; i < count; ++i) spins += wait(governor, pays) ? 1 : 0;
  return spins;
}

/// Waits in vain until it does not spin any more.
void discourage(SpinGovernor& governor) {
  for (int i = 0; i < 100 && wait(governor, false); ++i) {
  }
}

/// Makes waits without a spin until one begins with it; returns their number, at most 5000.
int rest_of(SpinGovernor& governor, bool pays) {
  int waits = 0;
  while (waits < 5000 && !wait(governor, pays)) ++waits;
  return waits;
}

}  // namespace

TEST_CASE("waits begin with a spin while that pays", "[sync][spin_governor]") {
  SpinGovernor governor;

  CHECK(wait_often(governor, 10'000, true) == 10'000);
}

TEST_CASE("a few misses in a row end the spinning", "[sync][spin_governor]") {
  SpinGovernor governor;

  const int spins = wait_often(governor, 40, false);

  CHECK(spins >= 2);
  CHECK(spins <= 8);
}

TEST_CASE("two misses among many hits change nothing", "[sync][spin_governor]") {
  SpinGovernor governor;
  int spins = 0;

  for (int i = 0; i < 100; ++i) {
    spins += wait_often(governor, 2, false) + wait_often(governor, 10, true);
  }

  CHECK(spins == 1200);
}

TEST_CASE("spinning goes on with 40 % misses and ends with 80 %", "[sync][spin_governor]") {
  SpinGovernor often, seldom;
  int spins_often = 0, spins_seldom = 0;

  for (int i = 0; i < 10'000; ++i) {
    spins_often += wait(often, i % 5 >= 2) ? 1 : 0;
    spins_seldom += wait(seldom, i % 5 >= 4) ? 1 : 0;
  }

  CHECK(spins_often == 10'000);
  CHECK(spins_seldom < 2'000);
}

TEST_CASE("a discouraged governor looks again for eight waits in a row", "[sync][spin_governor]") {
  SpinGovernor governor;
  discourage(governor);

  const int rest = rest_of(governor, false);
  const int burst = 1 + wait_often(governor, 7, false);
  const bool ninth = wait(governor, false);

  CHECK(rest >= 60);
  CHECK(rest <= 64);
  CHECK(burst == 8);
  CHECK_FALSE(ninth);
}

TEST_CASE("a discouraged governor looks again ever more seldom up to a limit",
          "[sync][spin_governor]") {
  SpinGovernor governor;
  discourage(governor);
  std::vector<int> rests;

  for (int burst = 0; burst < 8; ++burst) {
    rests.push_back(rest_of(governor, false));
    REQUIRE(wait_often(governor, 7, false) == 7);
  }

  for (std::size_t i = 1; i < 5; ++i) CHECK(rests[i] > rests[i - 1] * 3 / 2);
  for (std::size_t i = 5; i < 8; ++i) CHECK(rests[i] == rests[4]);
  CHECK(rests[4] >= 1024);
  CHECK(rests[4] <= 1040);
}

TEST_CASE("one burst that pays brings the spinning back", "[sync][spin_governor]") {
  SpinGovernor governor;
  wait_often(governor, 20'000, false);  // as discouraged as can be

  const int rest = rest_of(governor, true);

  CHECK(rest <= 1100);
  CHECK(wait_often(governor, 10'000, true) == 10'000);
}

TEST_CASE("a governor that recovered looks again as often as a new one", "[sync][spin_governor]") {
  SpinGovernor governor;
  wait_often(governor, 20'000, false);
  rest_of(governor, true);
  wait_often(governor, 100, true);

  discourage(governor);

  CHECK(rest_of(governor, false) <= 64);
}

TEST_CASE("what is done already is no wait", "[sync][spin_governor]") {
  SpinGovernor governor;
  discourage(governor);
  int calls = 0;

  for (int i = 0; i < 1000; ++i) {
    CHECK(governor.spin_until([&] { return ++calls > 0; }));
  }

  CHECK(calls == 1000);
  CHECK(rest_of(governor, false) >= 60);
}

TEST_CASE("a spin ends although nothing happens", "[sync][spin_governor]") {
  SpinGovernor governor;

  for (int i = 0; i < 100; ++i) CHECK_FALSE(governor.spin_until([] { return false; }));

  CHECK((!governor.begins_with_spin() || genserver::usable_cpus() == 1));
}

TEST_CASE("a spin ends as soon as it is done", "[sync][spin_governor]") {
  SpinGovernor governor;
  int looks = 0;

  const bool is_done = governor.spin_until([&] { return ++looks == 3; });

  CHECK(is_done == (genserver::usable_cpus() > 1));
  CHECK(looks == (is_done ? 3 : 1));  // with one processor it looks once and never spins
}

TEST_CASE("a spin that is in vain ends early, and says nothing about the next",
          "[sync][spin_governor]") {
  if (genserver::usable_cpus() == 1) return;
  SpinGovernor governor;
  int looks = 0, questions = 0;

  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(governor.spin_until([&] { return ++looks < 0; }, 1, [&] { return ++questions > 0; }));
  }

  CHECK(questions == 100);
  CHECK(looks >= 300);     // before the spin, in it, and after the question
  CHECK(looks < 100'000);  // a spin of full length has about 1700
  CHECK(governor.begins_with_spin());
}

TEST_CASE("a spin goes on as long as it is not in vain", "[sync][spin_governor]") {
  if (genserver::usable_cpus() == 1) return;
  SpinGovernor governor;
  int questions = 0;

  CHECK(governor.spin_until([&] { return questions == 3; }, 1, [&] { return ++questions > 3; }));
}

TEST_CASE("any number of threads may share a governor", "[.stress][sync][spin_governor]") {
  SpinGovernor governor;
  std::vector<std::thread> threads;

  for (unsigned seed = 1; seed <= 3; ++seed) {
    threads.emplace_back([&governor, seed] {
      std::minstd_rand random{seed};
      for (int i = 0; i < 200'000; ++i) wait(governor, random() % 3 == 0);
    });
  }
  for (std::thread& thread : threads) thread.join();

  rest_of(governor, true);
  CHECK(eventually([&] { return wait_often(governor, 100, true) == 100; }));
}
