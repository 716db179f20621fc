// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/sharded_map.hpp>

#include <support/catch.hpp>

#include <string>
#include <thread>
#include <vector>

using genserver::ShardedMap;

TEST_CASE("a value is found by its key", "[otp][sharded_map]") {
  ShardedMap<std::string, int> map;
  for (int i = 0; i < 1000; ++i) {
    map.with(std::to_string(i), [&](auto& part) { part.emplace(std::to_string(i), i); });
  }

  CHECK(map.with("77", [](auto& part) { return part.at("77"); }) == 77);
  CHECK(map.with("x", [](auto& part) { return part.count("x"); }) == 0);
}

TEST_CASE("for_each comes by every value once", "[otp][sharded_map]") {
  ShardedMap<int, int> map;
  for (int i = 0; i < 100; ++i) map.with(i, [&](auto& part) { part[i] = 1; });
  int sum = 0;

  map.for_each([&](int, int& value) { sum += value++; });

  CHECK(sum == 100);
  CHECK(map.with(5, [](auto& part) { return part.at(5); }) == 2);
}

TEST_CASE("threads may use different and the same keys at once", "[otp][sharded_map][.stress]") {
  ShardedMap<int, int> map;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10000; ++i) map.with(i % 50, [&](auto& part) { ++part[i % 50]; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  int sum = 0;

  map.for_each([&](int, int value) { sum += value; });

  CHECK(sum == 40000);
}
