// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/message.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <vector>

using genserver::CallSite;
using genserver::ExitReason;
using genserver::Message;
using genserver::MessageList;
using genserver::Refusal;

namespace {

// A message that knows its number, and writes down how it was refused.
class Note final : public Message {
 public:
  explicit Note(int number, CallSite site = CallSite::here()) : Message{site}, number_{number} {}

  void run(void* state) override { *static_cast<int*>(state) += number_; }
  void refuse(const Refusal& refusal) noexcept override {
    refusal_ = refusal;
    ++refusals_;
    if (next_ != nullptr) list_->push_back(*next_);
  }

  /// Lets refuse() send another message, as a caller's clean-up may.
  void send_when_refused(MessageList& list, Message& next) {
    list_ = &list;
    next_ = &next;
  }

  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] int refusals() const { return refusals_; }
  [[nodiscard]] const Refusal& refusal() const { return refusal_; }

 private:
  int number_;
  int refusals_ = 0;
  Refusal refusal_{};
  MessageList* list_ = nullptr;
  Message* next_ = nullptr;
};

std::vector<int> numbers_in(MessageList& list) {
  std::vector<int> numbers;
  while (Message* const message = list.pop_front()) {
    numbers.push_back(static_cast<Note*>(message)->number());
  }
  return numbers;
}

using Numbers = std::vector<int>;

}  // namespace

TEST_CASE("a message tells where it was sent", "[base][message]") {
  const Note note{1};

  CHECK(note.site().line == __LINE__ - 2);
  CHECK(note.site().file_name() == "message.cpp");
}

TEST_CASE("a message's address leaves four bits free", "[base][message]") {
  STATIC_REQUIRE(alignof(Message) == 16);
  STATIC_REQUIRE(alignof(Note) == 16);
}

TEST_CASE("a message is handled with the State it is given", "[base][message]") {
  Note note{5};
  Message& message = note;
  int state = 2;

  message.run(&state);

  CHECK(state == 7);
}

TEST_CASE("a new list has nothing", "[base][message]") {
  MessageList list;

  CHECK(list.is_empty());
  CHECK(list.pop_front() == nullptr);
}

TEST_CASE("a list gives messages back in the order they came", "[base][message]") {
  Note one{1}, two{2}, three{3};
  MessageList list;

  list.push_back(one);
  list.push_back(two);
  list.push_back(three);

  CHECK_FALSE(list.is_empty());
  CHECK(numbers_in(list) == Numbers{1, 2, 3});
  CHECK(list.is_empty());
}

TEST_CASE("a list that was emptied can be used again", "[base][message]") {
  Note one{1}, two{2};
  MessageList list;
  list.push_back(one);
  REQUIRE(list.pop_front() == &one);

  list.push_back(two);
  list.push_back(one);

  CHECK(numbers_in(list) == Numbers{2, 1});
}

TEST_CASE("a message taken from the middle of one list fits into another", "[base][message]") {
  Note one{1}, two{2}, three{3};
  MessageList first, second;
  first.push_back(one);
  first.push_back(two);
  first.push_back(three);

  second.push_back(*first.pop_front());

  CHECK(numbers_in(second) == Numbers{1});
  CHECK(numbers_in(first) == Numbers{2, 3});
}

TEST_CASE("messages put in front come before the others in their order", "[base][message]") {
  Note one{1}, two{2}, three{3}, four{4}, five{5};
  MessageList list, earlier;
  list.push_back(three);
  list.push_back(four);
  earlier.push_back(one);
  earlier.push_back(two);

  list.push_front(earlier);
  list.push_back(five);

  CHECK(earlier.is_empty());
  CHECK(numbers_in(list) == Numbers{1, 2, 3, 4, 5});
}

TEST_CASE("messages can be put in front of nothing", "[base][message]") {
  Note one{1}, two{2};
  MessageList list, earlier;
  earlier.push_back(one);

  list.push_front(earlier);
  list.push_back(two);

  CHECK(numbers_in(list) == Numbers{1, 2});
}

TEST_CASE("nothing put in front changes nothing", "[base][message]") {
  Note one{1}, two{2};
  MessageList list, nothing;
  list.push_back(one);

  list.push_front(nothing);
  list.push_back(two);

  CHECK(numbers_in(list) == Numbers{1, 2});
}

TEST_CASE("a list that was put in front of another can be used again", "[base][message]") {
  Note one{1}, two{2}, three{3};
  MessageList list, earlier;
  list.push_back(two);
  earlier.push_back(one);
  list.push_front(earlier);

  earlier.push_back(three);

  CHECK(numbers_in(earlier) == Numbers{3});
  CHECK(numbers_in(list) == Numbers{1, 2});
}

TEST_CASE("every message of a list is refused once with the reason", "[base][message]") {
  Note one{1}, two{2};
  MessageList list;
  list.push_back(one);
  list.push_back(two);

  list.refuse_all({Refusal::Kind::gone, ExitReason::shutdown("upgrade")});

  CHECK(list.is_empty());
  CHECK(one.refusals() == 1);
  CHECK(two.refusals() == 1);
  CHECK(two.refusal().kind == Refusal::Kind::gone);
  CHECK(two.refusal().reason == ExitReason::shutdown("upgrade"));
}

TEST_CASE("a message that comes while others are refused is refused too", "[base][message]") {
  Note first{1}, late{2};
  MessageList list;
  first.send_when_refused(list, late);
  list.push_back(first);

  list.refuse_all({});

  CHECK(list.is_empty());
  CHECK(late.refusals() == 1);
}
