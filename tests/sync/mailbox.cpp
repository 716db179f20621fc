// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/mailbox.hpp>

#include <support/catch.hpp>
#include <support/gate.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

using genserver::CallSite;
using genserver::Deadline;
using genserver::Mailbox;
using genserver::Message;
using genserver::Refusal;
using genserver::TurnLease;
using Push = genserver::Mailbox::Push;

namespace {

class Note final : public Message {
 public:
  explicit Note(int its_number, std::size_t its_sender = 0)
      : Message{CallSite::here()}, number{its_number}, sender{its_sender} {}

  void run(void*) override {}
  void refuse(const Refusal&) noexcept override {}

  const int number;
  const std::size_t sender;
  std::atomic<int> pops{0};
  std::atomic<int> evictions{0};
};

// The notes 0, 1, 2 ... of one sender, which stay where they are.
class Notes {
 public:
  explicit Notes(int count, std::size_t sender = 0) {
    for (int number = 0; number < count; ++number) notes_.emplace_back(number, sender);
  }
  Note& operator[](int number) { return notes_[static_cast<std::size_t>(number)]; }
  auto begin() { return notes_.begin(); }
  auto end() { return notes_.end(); }

 private:
  std::deque<Note> notes_{};
};

Note* pop_note(Mailbox& mailbox) { return static_cast<Note*>(mailbox.pop()); }

std::vector<int> pop_all(Mailbox& mailbox) {
  std::vector<int> numbers;
  while (const Note* const note = pop_note(mailbox)) numbers.push_back(note->number);
  return numbers;
}

int number_of(const Message* message) {
  return message != nullptr ? static_cast<const Note*>(message)->number : -1;
}

// Pushes counted notes until one is refused, and returns how many were accepted.
int fill(Mailbox& mailbox, Notes& notes) {
  int accepted = 0;
  while (mailbox.push(notes[accepted], true) != Push::full) ++accepted;
  return accepted;
}

void drain_and_rest(Mailbox& mailbox) {
  while (mailbox.pop() != nullptr) {
  }
  REQUIRE(mailbox.rest());
}

using Numbers = std::vector<int>;

constexpr bool counted = true;
constexpr bool uncounted = false;
constexpr bool lossy = true;

}  // namespace

// Order ------------------------------------------------------------------------------------------

TEST_CASE("messages of one sender are popped in the order they were pushed", "[sync][mailbox]") {
  Mailbox mailbox{16, false};
  Notes notes{4};

  mailbox.push(notes[0], counted);
  mailbox.push(notes[1], uncounted);
  mailbox.push(notes[2], uncounted);
  mailbox.push(notes[3], counted);

  CHECK(pop_all(mailbox) == Numbers{0, 1, 2, 3});
}

TEST_CASE("what comes while others are popped comes after them", "[sync][mailbox]") {
  const bool is_lossy = GENERATE(false, true);
  Mailbox mailbox{16, is_lossy};
  Notes notes{5};
  mailbox.push(notes[0], counted);
  mailbox.push(notes[1], counted);
  mailbox.push(notes[2], uncounted);
  REQUIRE(pop_note(mailbox) == &notes[0]);

  mailbox.push(notes[3], uncounted);
  mailbox.push(notes[4], counted);

  CHECK(pop_all(mailbox) == Numbers{1, 2, 3, 4});
}

TEST_CASE("an empty mailbox has nothing to pop", "[sync][mailbox]") {
  const bool is_lossy = GENERATE(false, true);
  Mailbox mailbox{16, is_lossy};

  CHECK(mailbox.pop() == nullptr);
  CHECK(mailbox.size() == 0);
  CHECK_FALSE(mailbox.has_news());
}

TEST_CASE("a message that was popped can be pushed again", "[sync][mailbox]") {
  Mailbox mailbox{2, false};
  Notes notes{2};

  for (int round = 0; round < 10; ++round) {
    mailbox.push(notes[round % 2], counted);
    mailbox.push(notes[1 - round % 2], uncounted);

    CHECK(pop_all(mailbox) == Numbers{round % 2, 1 - round % 2});
  }
}

// The bound --------------------------------------------------------------------------------------

TEST_CASE("a mailbox takes as many counted messages as its capacity", "[sync][mailbox]") {
  const int capacity = GENERATE(1, 2, 3, 16, 4096, 32767);
  const bool is_lossy = GENERATE(false, true);
  Mailbox mailbox{static_cast<std::size_t>(capacity), is_lossy};
  Notes notes{capacity + 1};

  const int accepted = fill(mailbox, notes);

  CHECK(accepted == capacity);
  CHECK(mailbox.capacity() == static_cast<std::size_t>(capacity));
  CHECK(mailbox.size() == mailbox.capacity());
  CHECK(mailbox.is_full());
}

TEST_CASE("a popped message frees its place at once", "[sync][mailbox]") {
  const int capacity = GENERATE(1, 2, 3, 16, 4096, 32767);
  const bool is_lossy = GENERATE(false, true);
  Mailbox mailbox{static_cast<std::size_t>(capacity), is_lossy};
  Notes notes{capacity + 3};
  REQUIRE(fill(mailbox, notes) == capacity);

  REQUIRE(pop_note(mailbox) == &notes[0]);

  CHECK_FALSE(mailbox.is_full());
  CHECK(mailbox.push(notes[capacity + 1], counted) == Push::queued);
  CHECK(mailbox.push(notes[capacity + 2], counted) == Push::full);
}

TEST_CASE("a sender that knows of a popped message finds its place", "[sync][mailbox]") {
  const int capacity = GENERATE(1, 2, 16);
  Mailbox mailbox{static_cast<std::size_t>(capacity), false};
  Notes notes{capacity + 2};
  Gate popped;
  Push result = Push::closed;
  REQUIRE(fill(mailbox, notes) == capacity);

  std::thread sender{[&] {
    popped.wait();
    result = mailbox.push(notes[capacity + 1], counted);
  }};
  static_cast<void>(mailbox.pop());
  popped.open();
  sender.join();

  CHECK(result == Push::queued);
}

TEST_CASE("uncounted messages take no place and are never refused as too many", "[sync][mailbox]") {
  Mailbox mailbox{2, false};
  Notes notes{3};
  Notes calls{100};
  REQUIRE(fill(mailbox, notes) == 2);

  int accepted = 0;
  for (Note& call : calls) accepted += mailbox.push(call, uncounted) == Push::queued ? 1 : 0;

  CHECK(accepted == 100);
  CHECK(mailbox.size() == 2);
  CHECK(mailbox.push(notes[2], counted) == Push::full);
}

TEST_CASE("popping an uncounted message frees no place", "[sync][mailbox]") {
  Mailbox mailbox{1, false};
  Notes notes{3};
  mailbox.push(notes[0], uncounted);
  mailbox.push(notes[1], counted);

  REQUIRE(pop_note(mailbox) == &notes[0]);
  CHECK(mailbox.push(notes[2], counted) == Push::full);
  REQUIRE(pop_note(mailbox) == &notes[1]);
  CHECK(mailbox.push(notes[2], counted) == Push::queued);
}

TEST_CASE("the high water is the most that was ever in it", "[sync][mailbox]") {
  Mailbox mailbox{8, false};
  Notes notes{8};
  CHECK(mailbox.high_water() == 0);

  for (int i = 0; i < 5; ++i) mailbox.push(notes[i], counted);
  CHECK(mailbox.high_water() == 5);
  pop_all(mailbox);
  mailbox.push(notes[5], counted);
  pop_all(mailbox);

  CHECK(mailbox.high_water() == 5);
}

TEST_CASE("a mailbox that was full remembers it, though nobody has popped", "[sync][mailbox]") {
  Mailbox mailbox{2, lossy};
  Notes notes{3};
  fill(mailbox, notes);
  mailbox.evict_oldest();
  mailbox.evict_oldest();

  CHECK(mailbox.size() == 0);
  CHECK(mailbox.high_water() == 2);
}

TEST_CASE("a refused message leaves the mailbox as it was", "[sync][mailbox]") {
  Mailbox mailbox{1, false};
  Notes notes{3};
  mailbox.push(notes[0], counted);

  REQUIRE(mailbox.push(notes[1], counted) == Push::full);
  REQUIRE(mailbox.push(notes[1], uncounted) == Push::queued);
  REQUIRE(mailbox.push(notes[2], counted) == Push::full);

  CHECK(pop_all(mailbox) == Numbers{0, 1});
}

TEST_CASE("the bound stays exact however many messages have passed", "[sync][mailbox]") {
  const int capacity = GENERATE(1, 5, 32767);
  Mailbox mailbox{static_cast<std::size_t>(capacity), false};
  Notes notes{capacity + 1};
  REQUIRE(fill(mailbox, notes) == capacity);
  Note* spare = &notes[capacity];
  int wrong = 0;

  for (int passed = 0; passed < 140'000; ++passed) {
    wrong += mailbox.push(*spare, counted) == Push::full ? 0 : 1;
    Note* const popped = pop_note(mailbox);
    wrong += mailbox.size() + 1 == mailbox.capacity() ? 0 : 1;
    wrong += mailbox.push(*spare, counted) == Push::queued ? 0 : 1;
    spare = popped;
  }

  CHECK(wrong == 0);
  CHECK(pop_all(mailbox).size() == static_cast<std::size_t>(capacity));
}

TEST_CASE("a mailbox can be filled and emptied any number of times", "[sync][mailbox]") {
  const int capacity = GENERATE(1, 5, 32767);
  Mailbox mailbox{static_cast<std::size_t>(capacity), false};
  Notes notes{capacity + 1};
  int wrong = 0;

  for (int passed = 0; passed < 140'000; passed += capacity) {
    wrong += fill(mailbox, notes) == capacity ? 0 : 1;
    for (int number = 0; number < capacity; ++number) {
      wrong += pop_note(mailbox) == &notes[number] ? 0 : 1;
    }
    wrong += mailbox.size() == 0 && mailbox.pop() == nullptr ? 0 : 1;
  }

  CHECK(wrong == 0);
}

TEST_CASE("uncounted messages do not disturb the count when it wraps", "[sync][mailbox]") {
  Mailbox mailbox{3, false};
  Notes notes{4};
  Note call{4};
  int wrong = 0;

  for (int round = 0; round < 70'000; ++round) {
    wrong += mailbox.push(notes[0], counted) == Push::queued ? 0 : 1;
    wrong += mailbox.push(call, uncounted) == Push::queued ? 0 : 1;
    wrong += mailbox.size() == 1 ? 0 : 1;
    wrong += pop_note(mailbox) == &notes[0] && pop_note(mailbox) == &call ? 0 : 1;
  }

  CHECK(wrong == 0);
  CHECK(fill(mailbox, notes) == 3);
}

TEST_CASE("racing senders share exactly the places there are", "[sync][mailbox]") {
  const int capacity = GENERATE(1, 3, 16, 100);
  Mailbox mailbox{static_cast<std::size_t>(capacity), false};

  for (int round = 0; round < 10; ++round) {
    std::array<Notes, 4> notes{Notes{101, 0}, Notes{101, 1}, Notes{101, 2}, Notes{101, 3}};
    std::array<int, 4> accepted{};
    std::vector<std::thread> senders;
    for (std::size_t own = 0; own < 4; ++own) {
      senders.emplace_back([&, own] { accepted[own] = fill(mailbox, notes[own]); });
    }
    for (std::thread& sender : senders) sender.join();

    CHECK(accepted[0] + accepted[1] + accepted[2] + accepted[3] == capacity);
    CHECK(pop_all(mailbox).size() == static_cast<std::size_t>(capacity));
  }
}

// Who runs ---------------------------------------------------------------------------------------

TEST_CASE("a new mailbox is run by who made it", "[sync][mailbox]") {
  Mailbox mailbox{16, false};
  Notes notes{1};

  CHECK_FALSE(mailbox.try_run());
  CHECK_FALSE(mailbox.try_run_idle());
  CHECK(mailbox.push(notes[0], counted) == Push::queued);
}

TEST_CASE("only the first message to an idle mailbox wakes the runner", "[sync][mailbox]") {
  const bool is_counted = GENERATE(false, true);
  const bool is_lossy = GENERATE(false, true);
  Mailbox mailbox{16, is_lossy};
  Notes notes{4};
  drain_and_rest(mailbox);

  CHECK(mailbox.push(notes[0], is_counted) == Push::wake);
  CHECK(mailbox.push(notes[1], is_counted) == Push::queued);
  REQUIRE(mailbox.try_run());
  CHECK(mailbox.push(notes[2], is_counted) == Push::queued);
  CHECK(pop_all(mailbox) == Numbers{0, 1, 2});
  CHECK(mailbox.push(notes[3], is_counted) == Push::queued);
}

TEST_CASE("every rest is followed by one wake", "[sync][mailbox]") {
  Mailbox mailbox{1, false};
  Notes notes{1};
  drain_and_rest(mailbox);

  for (int round = 0; round < 3; ++round) {
    CHECK(mailbox.push(notes[0], counted) == Push::wake);
    REQUIRE(mailbox.try_run());
    drain_and_rest(mailbox);
  }
}

TEST_CASE("a runner cannot rest on what has come", "[sync][mailbox]") {
  const bool is_counted = GENERATE(false, true);
  const bool is_lossy = GENERATE(false, true);
  Mailbox mailbox{16, is_lossy};
  Notes notes{2};
  mailbox.push(notes[0], is_counted);

  CHECK_FALSE(mailbox.rest());
  CHECK_FALSE(mailbox.try_run());  // it goes on running
  CHECK(pop_all(mailbox) == Numbers{0});
  CHECK(mailbox.rest());
}

TEST_CASE("a runner cannot rest with half a batch popped", "[sync][mailbox]") {
  const bool is_lossy = GENERATE(false, true);
  Mailbox mailbox{16, is_lossy};
  Notes notes{2};
  mailbox.push(notes[0], counted);
  mailbox.push(notes[1], uncounted);

  REQUIRE(pop_note(mailbox) == &notes[0]);
  CHECK_FALSE(mailbox.rest());
  REQUIRE(pop_note(mailbox) == &notes[1]);
  CHECK(mailbox.rest());
}

TEST_CASE("nobody begins to run an idle mailbox without a reason", "[sync][mailbox]") {
  Mailbox mailbox{16, false};

  drain_and_rest(mailbox);

  CHECK_FALSE(mailbox.try_run());
}

TEST_CASE("only one of two runs what is queued", "[sync][mailbox]") {
  Mailbox mailbox{16, false};
  Notes notes{1};
  drain_and_rest(mailbox);
  mailbox.push(notes[0], counted);

  CHECK(mailbox.try_run());
  CHECK_FALSE(mailbox.try_run());
  CHECK_FALSE(mailbox.try_run_idle());
}

TEST_CASE("a caller may run an idle mailbox itself", "[sync][mailbox]") {
  Mailbox mailbox{16, false};
  drain_and_rest(mailbox);

  CHECK(mailbox.try_run_idle());
  CHECK_FALSE(mailbox.try_run_idle());
  CHECK_FALSE(mailbox.hand_over(false));
  CHECK(mailbox.try_run_idle());
}

TEST_CASE("a caller does not overtake what is queued", "[sync][mailbox]") {
  const bool is_counted = GENERATE(false, true);
  Mailbox mailbox{16, false};
  Notes notes{1};
  drain_and_rest(mailbox);

  mailbox.push(notes[0], is_counted);

  CHECK_FALSE(mailbox.try_run_idle());
}

TEST_CASE("who hands over is told that the next runner has to be woken", "[sync][mailbox]") {
  Mailbox mailbox{16, false};
  Notes notes{2};
  drain_and_rest(mailbox);
  REQUIRE(mailbox.try_run_idle());
  CHECK(mailbox.push(notes[0], counted) == Push::queued);

  CHECK(mailbox.hand_over(false));

  CHECK(mailbox.push(notes[1], counted) == Push::queued);  // no second wake
  REQUIRE(mailbox.try_run());
  CHECK(pop_all(mailbox) == Numbers{0, 1});
}

TEST_CASE("a runner can be asked for although nothing is queued", "[sync][mailbox]") {
  Mailbox mailbox{16, false};
  Notes notes{1};
  drain_and_rest(mailbox);
  REQUIRE(mailbox.try_run_idle());

  CHECK(mailbox.hand_over(true));

  CHECK_FALSE(mailbox.try_run_idle());
  REQUIRE(mailbox.try_run());
  drain_and_rest(mailbox);
  CHECK(mailbox.push(notes[0], counted) == Push::wake);
}

namespace {

/// Runs short turns until one begins by a lease, which then is ready. Returns how many.
int turn_until_leased(Mailbox& mailbox) {
  int turns = 0;
  while (!mailbox.is_leased()) {
    mailbox.rest(mailbox.try_run_idle().value());
    ++turns;
  }
  return turns;
}

}  // namespace

TEST_CASE("after short turns in a row a lease holds the right to run", "[sync][mailbox]") {
  TurnLease lease;
  Mailbox mailbox{16, GENERATE(false, true)};
  mailbox.set_lease(lease);
  drain_and_rest(mailbox);

  turn_until_leased(mailbox);

  CHECK(mailbox.is_idle());
  const auto turn = mailbox.try_run_idle();
  REQUIRE(turn.has_value());
  CHECK_FALSE(mailbox.is_idle());
  CHECK_FALSE(mailbox.try_run_idle());
  CHECK_FALSE(mailbox.try_run());
  CHECK(mailbox.rest(*turn));
  CHECK(mailbox.try_run_idle());
}

TEST_CASE("a message ends a lease that is ready", "[sync][mailbox]") {
  const bool is_counted = GENERATE(false, true);
  TurnLease lease;
  Mailbox mailbox{16, GENERATE(false, true)};
  mailbox.set_lease(lease);
  Notes notes{3};
  drain_and_rest(mailbox);
  const int turns = turn_until_leased(mailbox);

  CHECK(mailbox.push(notes[0], is_counted) == Push::wake);
  CHECK(mailbox.is_leased());
  CHECK(mailbox.is_held_up());
  CHECK_FALSE(mailbox.try_run_idle());
  CHECK(mailbox.try_run());

  CHECK_FALSE(mailbox.is_held_up());
  CHECK(mailbox.push(notes[1], is_counted) == Push::queued);
  CHECK(pop_all(mailbox) == Numbers{0, 1});
  CHECK(mailbox.rest());
  CHECK(mailbox.push(notes[2], is_counted) == Push::wake);
  REQUIRE(mailbox.try_run());
  drain_and_rest(mailbox);
  CHECK(turn_until_leased(mailbox) > turns);
}

TEST_CASE("a message ends a lease that is taken, after the turn", "[sync][mailbox]") {
  TurnLease lease;
  Mailbox mailbox{16, GENERATE(false, true)};
  mailbox.set_lease(lease);
  Notes notes{2};
  drain_and_rest(mailbox);
  turn_until_leased(mailbox);
  const auto turn = mailbox.try_run_idle();

  CHECK(mailbox.push(notes[0], counted) == Push::wake);
  CHECK(mailbox.is_leased());
  CHECK_FALSE(mailbox.try_run());
  SECTION("seen by who has it") {
    CHECK_FALSE(mailbox.rest(*turn));
    CHECK_FALSE(mailbox.is_held_up());
  }
  SECTION("handed over") {
    CHECK(mailbox.hand_over(false));
    CHECK_FALSE(mailbox.is_held_up());
    CHECK(mailbox.try_run());
  }

  CHECK(pop_all(mailbox) == Numbers{0});
  CHECK(mailbox.rest());
  CHECK(mailbox.push(notes[1], counted) == Push::wake);
}

TEST_CASE("a turn by a lease that nobody wants back may leave a message to who asks again",
          "[sync][mailbox]") {
  TurnLease lease;
  Mailbox mailbox{16, false};
  mailbox.set_lease(lease);
  Notes notes{1};
  drain_and_rest(mailbox);
  turn_until_leased(mailbox);
  const auto turn = mailbox.try_run_idle();
  REQUIRE(mailbox.push(notes[0], counted) == Push::wake);
  CHECK(mailbox.is_leased());

  CHECK(mailbox.rest(*turn));

  CHECK(mailbox.is_held_up());
  CHECK(mailbox.try_run());
  CHECK(pop_all(mailbox) == Numbers{0});
}

TEST_CASE("messages that were taken with a batch are handed over too", "[sync][mailbox]") {
  const bool is_lossy = GENERATE(false, true);
  Mailbox mailbox{16, is_lossy};
  Notes notes{3};
  for (Note& note : notes) mailbox.push(note, counted);
  REQUIRE(pop_note(mailbox) == &notes[0]);

  CHECK(mailbox.hand_over(false));

  CHECK_FALSE(mailbox.try_run_idle());
  CHECK(mailbox.try_run());
  CHECK(pop_all(mailbox) == Numbers{1, 2});
}

TEST_CASE("messages that an eviction moved are handed over too", "[sync][mailbox]") {
  Mailbox mailbox{2, lossy};
  Notes notes{3};
  drain_and_rest(mailbox);
  REQUIRE(mailbox.try_run_idle());
  REQUIRE(fill(mailbox, notes) == 2);
  REQUIRE(number_of(mailbox.evict_oldest()) == 0);

  CHECK(mailbox.hand_over(false));

  CHECK(mailbox.try_run());
  CHECK(pop_all(mailbox) == Numbers{1});
}

TEST_CASE("a spinning runner sees that something came", "[sync][mailbox]") {
  Mailbox mailbox{16, false};
  Notes notes{1};

  CHECK_FALSE(mailbox.has_news());
  mailbox.push(notes[0], uncounted);
  CHECK(mailbox.has_news());
  REQUIRE(pop_note(mailbox) == &notes[0]);
  CHECK_FALSE(mailbox.has_news());
}

// Closing ----------------------------------------------------------------------------------------

TEST_CASE("a closed mailbox refuses everything and keeps what it has", "[sync][mailbox]") {
  const bool is_lossy = GENERATE(false, true);
  Mailbox mailbox{16, is_lossy};
  Notes notes{4};
  mailbox.push(notes[0], counted);
  mailbox.push(notes[1], uncounted);

  mailbox.close();

  CHECK(mailbox.is_closed());
  CHECK(mailbox.push(notes[2], counted) == Push::closed);
  CHECK(mailbox.push(notes[3], uncounted) == Push::closed);
  CHECK(pop_all(mailbox) == Numbers{0, 1});
  CHECK(mailbox.push(notes[2], counted) == Push::closed);
}

TEST_CASE("closed is said before full", "[sync][mailbox]") {
  Mailbox mailbox{1, false};
  Notes notes{2};
  REQUIRE(fill(mailbox, notes) == 1);

  mailbox.close();
  mailbox.close();

  CHECK(mailbox.push(notes[1], counted) == Push::closed);
}

TEST_CASE("what was queued before the close can be run after it", "[sync][mailbox]") {
  Mailbox mailbox{16, false};
  Notes notes{1};
  drain_and_rest(mailbox);
  REQUIRE_FALSE(mailbox.is_closed());
  mailbox.push(notes[0], counted);

  mailbox.close();

  REQUIRE(mailbox.try_run());
  CHECK(pop_all(mailbox) == Numbers{0});
  CHECK(mailbox.rest());
}

TEST_CASE("no caller runs a closed mailbox itself", "[sync][mailbox]") {
  Mailbox mailbox{16, false};
  drain_and_rest(mailbox);

  mailbox.close();

  CHECK_FALSE(mailbox.try_run_idle());
  CHECK_FALSE(mailbox.try_run());
}

// Waiting for room -------------------------------------------------------------------------------

TEST_CASE("a deadline in the past ends the wait for room at once", "[sync][mailbox]") {
  using Time = Deadline::Clock::time_point;
  const Time past = GENERATE(Deadline::Clock::now(), Deadline::Clock::now() - std::chrono::hours{1},
                             Time{}, Time{} - std::chrono::nanoseconds{1}, Time::min());
  Mailbox mailbox{1, false};
  Notes notes{2};
  REQUIRE(fill(mailbox, notes) == 1);

  mailbox.wait_for_room(Deadline{past});  // would hang if it did not return

  CHECK(mailbox.push(notes[1], counted) == Push::full);
}

TEST_CASE("who waits for room gets it when a message is popped", "[sync][mailbox]") {
  const int capacity = GENERATE(1, 2, 3, 16);
  Mailbox mailbox{static_cast<std::size_t>(capacity), false};
  Notes notes{capacity + 2};
  Gate waits;
  REQUIRE(fill(mailbox, notes) == capacity);

  std::thread sender{[&] {
    waits.open();
    while (mailbox.push(notes[capacity + 1], counted) == Push::full) {
      mailbox.wait_for_room(Deadline::never());
    }
  }};
  waits.wait();
  REQUIRE(pop_note(mailbox) == &notes[0]);
  sender.join();

  CHECK(mailbox.is_full());
}

TEST_CASE("who waits for room is told that the mailbox was closed", "[sync][mailbox]") {
  Mailbox mailbox{1, false};
  Notes notes{2};
  REQUIRE(fill(mailbox, notes) == 1);
  Gate waits;
  Push result = Push::full;

  std::thread sender{[&] {
    waits.open();
    while ((result = mailbox.push(notes[1], counted)) == Push::full) {
      mailbox.wait_for_room(Deadline::never());
    }
  }};
  waits.wait();
  mailbox.close();
  sender.join();

  CHECK(result == Push::closed);
}

TEST_CASE("there is no wait where there is room", "[sync][mailbox]") {
  Mailbox open{2, false};
  Mailbox closed{1, false};
  Notes notes{2};
  open.push(notes[0], counted);
  closed.push(notes[1], counted);
  closed.close();

  open.wait_for_room(Deadline::never());
  closed.wait_for_room(Deadline::never());

  CHECK(open.size() == 1);
  CHECK(closed.is_closed());
}

// Evicting ---------------------------------------------------------------------------------------

TEST_CASE("the oldest counted message is evicted and frees its place", "[sync][mailbox]") {
  Mailbox mailbox{2, lossy};
  Notes notes{4};
  REQUIRE(fill(mailbox, notes) == 2);

  CHECK(number_of(mailbox.evict_oldest()) == 0);

  CHECK(mailbox.size() == 1);
  CHECK(mailbox.push(notes[3], counted) == Push::queued);
  CHECK(pop_all(mailbox) == Numbers{1, 3});
}

TEST_CASE("uncounted messages are never evicted and keep their place in the row",
          "[sync][mailbox]") {
  Mailbox mailbox{8, lossy};
  Notes notes{6};
  for (int number : {0, 1}) mailbox.push(notes[number], uncounted);
  for (int number : {2, 3}) mailbox.push(notes[number], counted);
  mailbox.push(notes[4], uncounted);
  mailbox.push(notes[5], counted);

  CHECK(number_of(mailbox.evict_oldest()) == 2);
  CHECK(number_of(mailbox.evict_oldest()) == 3);
  CHECK(pop_all(mailbox) == Numbers{0, 1, 4, 5});
}

TEST_CASE("nothing is evicted where nothing is counted", "[sync][mailbox]") {
  Mailbox mailbox{8, lossy};
  Notes notes{2};

  CHECK(mailbox.evict_oldest() == nullptr);
  for (Note& note : notes) mailbox.push(note, uncounted);
  CHECK(mailbox.evict_oldest() == nullptr);
  CHECK(mailbox.size() == 0);
  CHECK(pop_all(mailbox) == Numbers{0, 1});
}

TEST_CASE("everything can be evicted in order", "[sync][mailbox]") {
  Mailbox mailbox{3, lossy};
  Notes notes{4};
  REQUIRE(fill(mailbox, notes) == 3);

  for (int number : {0, 1, 2, -1}) CHECK(number_of(mailbox.evict_oldest()) == number);

  CHECK(mailbox.size() == 0);
  CHECK(mailbox.pop() == nullptr);
}

TEST_CASE("what the runner took with its batch can still be evicted", "[sync][mailbox]") {
  Mailbox mailbox{8, lossy};
  Notes notes{4};
  for (int number : {0, 1, 2}) mailbox.push(notes[number], counted);
  REQUIRE(pop_note(mailbox) == &notes[0]);
  mailbox.push(notes[3], counted);

  CHECK(number_of(mailbox.evict_oldest()) == 1);
  CHECK(pop_all(mailbox) == Numbers{2, 3});
  CHECK(mailbox.size() == 0);
}

TEST_CASE("a runner cannot rest on what an eviction has moved", "[sync][mailbox]") {
  Mailbox mailbox{8, lossy};
  Notes notes{2};
  for (Note& note : notes) mailbox.push(note, counted);

  REQUIRE(number_of(mailbox.evict_oldest()) == 0);

  CHECK_FALSE(mailbox.rest());
  CHECK(pop_all(mailbox) == Numbers{1});
  CHECK(mailbox.rest());
}

TEST_CASE("a runner that was woken for an evicted message can rest again", "[sync][mailbox]") {
  Mailbox mailbox{1, lossy};
  Notes notes{2};
  drain_and_rest(mailbox);
  REQUIRE(mailbox.push(notes[0], counted) == Push::wake);

  REQUIRE(number_of(mailbox.evict_oldest()) == 0);
  CHECK(mailbox.push(notes[1], counted) == Push::queued);  // the first wake still stands
  CHECK(number_of(mailbox.evict_oldest()) == 1);

  REQUIRE(mailbox.try_run());
  drain_and_rest(mailbox);
  CHECK(mailbox.push(notes[0], counted) == Push::wake);
}

TEST_CASE("an emptied mailbox has no news after an eviction", "[sync][mailbox]") {
  Mailbox mailbox{1, lossy};
  Notes notes{2};
  mailbox.push(notes[0], counted);
  REQUIRE(number_of(mailbox.evict_oldest()) == 0);
  mailbox.push(notes[1], counted);

  REQUIRE(pop_all(mailbox) == Numbers{1});

  CHECK_FALSE(mailbox.has_news());  // a runner that spins for news would spin for ever
}

TEST_CASE("evictions keep the bound exact when the count wraps", "[sync][mailbox]") {
  Mailbox mailbox{2, lossy};
  Notes notes{3};
  REQUIRE(fill(mailbox, notes) == 2);
  Note* spare = &notes[2];
  int wrong = 0;

  for (int passed = 0; passed < 70'000; ++passed) {
    wrong += mailbox.push(*spare, counted) == Push::full ? 0 : 1;
    auto* const oldest = static_cast<Note*>(mailbox.evict_oldest());
    wrong += oldest->number == passed % 3 ? 0 : 1;
    wrong += mailbox.push(*spare, counted) == Push::queued ? 0 : 1;
    spare = oldest;
  }

  CHECK(wrong == 0);
}

// Races ------------------------------------------------------------------------------------------

namespace {

// What wakes the runner: remembered if it comes first.
class Bell {
 public:
  void ring() {
    const std::scoped_lock lock{mutex_};
    has_rung_ = true;
    rung_.notify_one();
  }

  /// Returns false if it does not ring for 10 s: then a wake-up was lost.
  bool wait() {
    std::unique_lock lock{mutex_};
    const bool in_time =
        rung_.wait_for(lock, std::chrono::seconds{10}, [this] { return has_rung_; });
    has_rung_ = false;
    return in_time;
  }

 private:
  std::mutex mutex_{};
  std::condition_variable rung_{};
  bool has_rung_ = false;  // guarded by mutex_
};

// A mailbox with a thread's worth of server around it.
struct Post {
  explicit Post(std::size_t capacity, bool is_lossy = false) : mailbox{capacity, is_lossy} {}

  /// Sends and waits for room. Returns false once the mailbox is closed.
  bool send(Note& note, bool is_counted) {
    for (;;) {
      switch (mailbox.push(note, is_counted)) {
        case Push::wake:
          bell.ring();
          return true;
        case Push::queued:
          return true;
        case Push::closed:
          return false;
        case Push::full:
          mailbox.wait_for_room(Deadline::never());
      }
    }
  }

  /// Sends, and evicts for it what is oldest; never waits.
  void send_lossy(Note& note, bool is_counted) {
    for (;;) {
      const Push result = mailbox.push(note, is_counted);
      if (result == Push::wake) bell.ring();
      if (result != Push::full) return;
      if (Message* const oldest = mailbox.evict_oldest()) ++static_cast<Note*>(oldest)->evictions;
    }
  }

  void close() {
    mailbox.close();
    bell.ring();
  }

  /// Runs as a server's thread does, until closed and empty. Returns false if a wake-up was lost.
  template <class OnMessage>
  bool serve(OnMessage&& on_message) {
    for (;;) {
      while (Note* const note = pop_note(mailbox)) on_message(*note);
      if (!mailbox.rest()) continue;
      for (bool is_last = mailbox.is_closed(); !mailbox.try_run(); is_last = mailbox.is_closed()) {
        if (is_last) return true;
        if (!bell.wait()) return false;
      }
    }
  }

  Mailbox mailbox;
  Bell bell{};
};

constexpr std::size_t sender_count = 4;

std::deque<Notes> notes_of_all(int count) {
  std::deque<Notes> notes;
  for (std::size_t sender = 0; sender < sender_count; ++sender) notes.emplace_back(count, sender);
  return notes;
}

/// Runs `send(sender)` on a thread for each sender, and waits until all have ended.
template <class Send>
void run_senders(Send&& send) {
  std::vector<std::thread> senders;
  for (std::size_t own = 0; own < sender_count; ++own) {
    senders.emplace_back([&send, own] { send(own); });
  }
  for (std::thread& sender : senders) sender.join();
}

/// Sees to it that the notes of each sender come in their order; gaps are allowed.
class OrderCheck {
 public:
  void see(const Note& note) {
    is_in_order_ = is_in_order_ && note.number > last_[note.sender];
    last_[note.sender] = note.number;
    ++count_;
  }
  [[nodiscard]] bool is_in_order() const { return is_in_order_; }
  [[nodiscard]] int count() const { return count_; }

 private:
  std::array<int, sender_count> last_{-1, -1, -1, -1};
  bool is_in_order_ = true;
  int count_ = 0;
};

constexpr unsigned seed = 20240229;

}  // namespace

TEST_CASE("with racing senders every message comes once and in order", "[.stress][sync][mailbox]") {
  const std::size_t capacity = GENERATE(1U, 2U, 3U, 16U, 4096U);
  constexpr int count = 8000;
  Post post{capacity};
  std::deque<Notes> notes = notes_of_all(count);
  OrderCheck order;
  bool was_woken = false;
  std::thread runner{[&] { was_woken = post.serve([&](Note& note) { order.see(note); }); }};

  run_senders([&](std::size_t own) {
    std::minstd_rand random{seed + static_cast<unsigned>(own)};
    for (Note& note : notes[own]) post.send(note, random() % 4 != 0);
  });
  post.close();
  runner.join();

  CHECK(was_woken);
  CHECK(order.is_in_order());
  CHECK(order.count() == count * static_cast<int>(sender_count));
}

TEST_CASE("no sender hangs at a mailbox with one place", "[.stress][sync][mailbox]") {
  constexpr int count = 20'000;
  Post post{1};
  std::deque<Notes> notes = notes_of_all(count);
  OrderCheck order;
  std::size_t most = 0;
  bool was_woken = false;
  std::thread runner{[&] {
    was_woken = post.serve([&](Note& note) {
      order.see(note);
      most = std::max(most, post.mailbox.size());
    });
  }};

  run_senders([&](std::size_t own) {
    for (Note& note : notes[own]) post.send(note, counted);
  });
  post.close();
  runner.join();

  CHECK(was_woken);
  CHECK(order.count() == count * static_cast<int>(sender_count));
  CHECK(most <= 1);
}

namespace {

/// Closes a mailbox while all send; returns how many messages were accepted, and -1 if not
/// exactly these were popped.
int accepted_around_close(std::size_t capacity, int closes_at) {
  Post post{capacity};
  std::deque<Notes> notes = notes_of_all(50);
  std::array<int, sender_count> accepted{};
  OrderCheck order;
  bool was_woken = false;
  std::thread runner{[&] {
    was_woken = post.serve([&](Note& note) {
      order.see(note);
      if (order.count() == closes_at) post.close();
    });
  }};

  run_senders([&](std::size_t own) {
    for (Note& note : notes[own]) accepted[own] += post.send(note, counted) ? 1 : 0;
  });
  post.close();
  runner.join();
  const int all = std::accumulate(accepted.begin(), accepted.end(), 0);
  return was_woken && order.is_in_order() && order.count() == all ? all : -1;
}

}  // namespace

TEST_CASE("what is accepted before a close is popped and nothing else is",
          "[.stress][sync][mailbox]") {
  std::minstd_rand random{seed};
  int wrong = 0;

  for (int round = 0; round < 300; ++round) {
    const std::size_t capacity = 1 + random() % 4;
    const int closes_at = 1 + static_cast<int>(random() % 100);
    const int accepted = accepted_around_close(capacity, closes_at);
    wrong += accepted >= closes_at ? 0 : 1;
  }

  CHECK(wrong == 0);
}

TEST_CASE("no sender is refused a place that it knows to be free", "[.stress][sync][mailbox]") {
  constexpr int count = 100'000;
  const int capacity = GENERATE(1, 3, 16);
  Mailbox mailbox{static_cast<std::size_t>(capacity), false};
  Notes notes{count};
  std::atomic<int> popped{0};
  int refused = 0;

  std::thread sender{[&] {
    for (int number = 0; number < count; ++number) {
      while (number - popped.load(std::memory_order_acquire) >= capacity) {
        std::this_thread::yield();
      }
      refused += mailbox.push(notes[number], counted) == Push::queued ? 0 : 1;
    }
  }};
  const Deadline end = Deadline::after(std::chrono::seconds{60});
  while (popped < count && !end.has_passed()) {
    while (mailbox.pop() != nullptr) popped.fetch_add(1, std::memory_order_release);
    std::this_thread::yield();
  }
  sender.join();

  CHECK(refused == 0);
}

TEST_CASE("two never run at the same time", "[.stress][sync][mailbox]") {
  constexpr int count = 15'000;
  Post post{64};
  std::deque<Notes> notes = notes_of_all(count);
  int state = 0;  // unguarded: a second runner would spoil it, and ThreadSanitizer sees it
  bool was_woken = false;
  std::thread runner{[&] { was_woken = post.serve([&](Note&) { ++state; }); }};

  run_senders([&](std::size_t own) {
    std::minstd_rand random{seed + static_cast<unsigned>(own)};
    for (Note& note : notes[own]) {
      if (random() % 2 == 0 && post.mailbox.try_run_idle()) {
        ++state;
        if (post.mailbox.hand_over(random() % 16 == 0)) post.bell.ring();
      } else {
        post.send(note, random() % 2 == 0);
      }
    }
  });
  post.close();
  runner.join();

  CHECK(was_woken);
  CHECK(state == count * static_cast<int>(sender_count));
}

namespace {

/// Every fourth message takes no place, as a call.
bool is_counted_number(int number) { return number % 4 != 0; }

bool has_ended_once(const Note& note) {
  return note.pops + note.evictions == 1 && (is_counted_number(note.number) || note.pops == 1);
}

}  // namespace

TEST_CASE("with evictions every message is popped or evicted once", "[.stress][sync][mailbox]") {
  const std::size_t capacity = GENERATE(1U, 3U, 16U);
  Post post{capacity, lossy};
  std::deque<Notes> notes = notes_of_all(15'000);
  OrderCheck order;
  bool was_woken = false;
  std::thread runner{[&] {
    was_woken = post.serve([&](Note& note) {
      order.see(note);
      ++note.pops;
    });
  }};

  run_senders([&](std::size_t own) {
    for (Note& note : notes[own]) post.send_lossy(note, is_counted_number(note.number));
  });
  post.close();
  runner.join();

  CHECK(was_woken);
  CHECK(order.is_in_order());
  for (Notes& own : notes) CHECK(std::all_of(own.begin(), own.end(), has_ended_once));
}
