// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/parking_lot.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

using genserver::Deadline;
using genserver::ParkingLot;
using Clock = Deadline::Clock;
using Word = std::atomic<std::uint32_t>;
using namespace std::chrono_literals;

namespace {

/// Sleeps as the library's waiting loops do, until the word has another value than `old`.
/// Returns false if it was not woken for 10 s.
bool sleep_until_changed(ParkingLot& lot, const Word& word, std::uint32_t old) {
  const Deadline deadline = Deadline::after(10s);
  while (word.load(std::memory_order_acquire) == old) {
    if (!lot.sleep_while_equal(word, old, deadline)) return false;
  }
  return true;
}

void change(ParkingLot& lot, Word& word, std::uint32_t changed) {
  word.store(changed, std::memory_order_release);
  lot.wake_all(&word);
}

}  // namespace

TEST_CASE("nobody sleeps on a word that has changed already", "[sync][parking_lot]") {
  ParkingLot lot;
  const Word word{1};

  CHECK(lot.sleep_while_equal(word, 0, Deadline::never()));
  CHECK(lot.sleep_while_equal(word, 0, Deadline{Clock::time_point::min()}));
}

TEST_CASE("a sleep ends at its deadline and says so", "[sync][parking_lot]") {
  ParkingLot lot;
  const Word word{0};
  const Deadline deadline = Deadline::after(5ms);

  while (lot.sleep_while_equal(word, 0, deadline)) {  // true: it woke for no reason
  }

  CHECK(deadline.has_passed());
}

TEST_CASE("a sleep with a deadline in the past does not sleep", "[sync][parking_lot]") {
  const Clock::time_point past = GENERATE(Clock::now(), Clock::now() - 1h, Clock::time_point{},
                                          Clock::time_point{-1ns}, Clock::time_point::min());
  ParkingLot lot;
  const Word word{0};

  CHECK_FALSE(lot.sleep_while_equal(word, 0, Deadline{past}));
}

TEST_CASE("a sleeper without a deadline is woken", "[sync][parking_lot]") {
  ParkingLot lot;
  Word word{0};
  Gate begins;
  std::uint32_t seen = 0;

  std::thread sleeper{[&] {
    begins.open();
    while (word == 0) lot.sleep_while_equal(word, 0, Deadline::never());
    seen = word;
  }};
  begins.wait();
  change(lot, word, 7);
  sleeper.join();

  CHECK(seen == 7);
}

TEST_CASE("all who sleep on a word are woken", "[sync][parking_lot]") {
  for (int round = 0; round < 50; ++round) {  // often, since nobody sees that they sleep
    ParkingLot lot;
    Word word{0};
    std::atomic<int> begun{0}, woken{0};
    std::vector<std::thread> sleepers;
    for (int i = 0; i < 4; ++i) {
      sleepers.emplace_back([&] {
        ++begun;
        woken += sleep_until_changed(lot, word, 0) ? 1 : 0;
      });
    }
    CHECK(eventually([&] { return begun == 4; }));

    change(lot, word, 1);
    for (std::thread& sleeper : sleepers) sleeper.join();

    REQUIRE(woken == 4);
  }
}

TEST_CASE("sleepers on different words do not disturb each other", "[sync][parking_lot]") {
  ParkingLot lot;
  std::array<Word, 2> words{};
  bool first = false, second = false;
  std::thread sleeper{[&] { first = sleep_until_changed(lot, words[0], 0); }};
  std::thread other{[&] { second = sleep_until_changed(lot, words[1], 0); }};

  change(lot, words[1], 1);
  other.join();
  change(lot, words[0], 1);
  sleeper.join();

  CHECK(first);
  CHECK(second);
}

TEST_CASE("a word that is gone can be woken", "[sync][parking_lot]") {
  ParkingLot lot;
  auto word = std::make_unique<Word>(0);
  const Word* volatile gone = word.get();  // volatile: the compiler would warn
  word.reset();

  lot.wake_all(gone);  // AddressSanitizer sees if it is read

  CHECK(lot.sleep_while_equal(Word{1}, 0, Deadline::never()));
}

TEST_CASE("the process has one parking lot", "[sync][parking_lot]") {
  ParkingLot* other = nullptr;

  std::thread{[&] { other = &ParkingLot::instance(); }}.join();

  CHECK(other == &ParkingLot::instance());
}

TEST_CASE("no wake-up is lost however many words share a place", "[.stress][sync][parking_lot]") {
  constexpr std::uint32_t rounds = 100;
  ParkingLot lot;
  std::vector<Word> there(200), back(200);
  std::atomic<int> missed{0};

  std::thread other{[&] {
    for (std::uint32_t round = 0; round < rounds; ++round) {
      for (std::size_t i = 0; i < there.size() && missed == 0; ++i) {
        missed += sleep_until_changed(lot, there[i], round) ? 0 : 1;
        change(lot, back[i], round + 1);
      }
    }
  }};
  for (std::uint32_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < there.size() && missed == 0; ++i) {
      change(lot, there[i], round + 1);
      missed += sleep_until_changed(lot, back[i], round) ? 0 : 1;
    }
  }
  other.join();

  CHECK(missed == 0);
}
