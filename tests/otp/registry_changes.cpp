// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/registry_changes.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace genserver;

namespace {

using Changes = RegistryChanges<int, int>;

Changes::Change change(int key) { return {Changes::Change::Kind::registered, key, {}}; }

}  // namespace

TEST_CASE("changes are told in the order in which they were added", "[otp][registry_changes]") {
  Changes changes;
  std::vector<int> told;
  changes.set_listener([&](const Changes::Change& one) { told.push_back(one.key); });

  for (int key = 0; key < 3; ++key) changes.add(change(key));
  CHECK(told.empty());
  changes.tell();

  CHECK(told == std::vector<int>{0, 1, 2});
}

TEST_CASE("a listener may bring about further changes", "[otp][registry_changes]") {
  Changes changes;
  std::vector<int> told;
  changes.set_listener([&](const Changes::Change& one) {
    told.push_back(one.key);
    if (one.key > 2) return;
    changes.add(change(one.key + 1));
    changes.tell();
  });
  changes.add(change(1));

  changes.tell();

  CHECK(told == std::vector<int>{1, 2, 3});
}

TEST_CASE("what a listener throws keeps nothing from being told", "[otp][registry_changes]") {
  Changes changes;
  int told = 0;
  changes.set_listener([&](const Changes::Change&) {
    ++told;
    throw std::runtime_error{"no"};
  });
  changes.add(change(1));
  changes.add(change(2));

  changes.tell();

  CHECK(told == 2);
}

TEST_CASE("without a listener nothing is kept", "[otp][registry_changes]") {
  Changes changes;
  int told = 0;
  changes.add(change(1));
  changes.tell();

  changes.set_listener([&](const Changes::Change&) { ++told; });
  changes.tell();

  CHECK(told == 0);
}

TEST_CASE("of racing threads each change is told once, and one at a time",
          "[otp][registry_changes][.stress]") {
  Changes changes;
  std::atomic<int> inside{0};
  std::atomic<bool> met{false};
  int told = 0;
  changes.set_listener([&](const Changes::Change&) {
    if (++inside > 1) met = true;
    ++told;
    --inside;
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        changes.add(change(i));
        changes.tell();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  changes.tell();

  CHECK(told == 2000);
  CHECK_FALSE(met);
}
