// SPDX-License-Identifier: BSL-1.0
// Senders that find the mailbox full: never more is taken than there is, and nobody sleeps on.
#include <models/server.hpp>
#include <models/suite.hpp>

#include <array>
#include <cstddef>

namespace model {
namespace {

// With and without the look that a waiting sender takes now and then.
template <std::size_t capacity>
class Room final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) return server_.serve();
    auto& notes = notes_[static_cast<std::size_t>(thread - 1)];
    number(notes, thread);
    for (std::size_t i = 0; i < notes.size(); ++i) {
      while (server_.post(notes[i], true) == Mailbox::Push::full) {
        server_.mailbox.wait_for_room(Deadline::never());
      }
    }
  }

  void check() override {
    for (const auto& notes : notes_) {
      for (const Note& note : notes) require(note.runs == 1, "each message runs once");
    }
    require(server_.mailbox.high_water() <= capacity, "no more is taken than there is");
  }

 private:
  Server server_{capacity, false, 2};
  std::array<std::array<Note, 2>, 2> notes_{};
};

const Registration<Room<1>> room{{.name = "room", .threads = 3}};
const Registration<Room<2>> room_for_two{{.name = "room_for_two", .threads = 3}};
const Registration<Room<1>> room_timed{
    {.name = "room_timed", .threads = 3, .runs = 10'000, .is_timed = true}};

// A server that ends instead of making room.
class RoomClosed final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) {
      dawdle();
      return mailbox_.close();
    }
    Note& note = notes_[static_cast<std::size_t>(thread)];
    Mailbox::Push result = mailbox_.push(note, true);
    while (result == Mailbox::Push::full) {
      mailbox_.wait_for_room(Deadline::never());
      result = mailbox_.push(note, true);
    }
    if (result != Mailbox::Push::closed) ++accepted_;
  }

  void check() override { require(accepted_ <= 1, "no more is taken than there is"); }

 private:
  Mailbox mailbox_{1, false};
  std::array<Note, 4> notes_{};
  int accepted_ = 0;
};

const Registration<RoomClosed> room_closed{{.name = "room_closed", .threads = 4}};

// Senders that never are so many at a time that there is no room.
class FreePlace final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) return pop_all();
    const std::size_t first = thread == 1 ? 0 : 3;
    const std::size_t last = thread == 1 ? 3 : 4;
    for (std::size_t i = first; i < last; ++i) {
      OneShot done;
      notes_[i].done = &done;
      require(mailbox_.push(notes_[i], true) != Mailbox::Push::full, "there is a free place");
      while (!done.sleep(Deadline::never())) {
      }
    }
  }

 private:
  void pop_all() {
    for (std::size_t popped = 0; popped < notes_.size();) {
      if (Message* const message = mailbox_.pop()) {
        ++popped;
        static_cast<Note*>(message)->done->set();
      } else {
        pause();
      }
    }
  }

  Mailbox mailbox_{2, false};
  std::array<Note, 4> notes_{};
};

const Registration<FreePlace> free_place{
    {.name = "free_place", .threads = 3, .runs = 400'000}};

// A server that makes room once.
class Bound final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) {
      popped_ += mailbox_.pop() != nullptr ? 1 : 0;
      return;
    }
    const auto first = static_cast<std::size_t>(thread - 1) * 2;
    for (std::size_t i = first; i < first + 2; ++i) {
      if (mailbox_.push(notes_[i], true) != Mailbox::Push::full) ++accepted_;
      require(mailbox_.size() <= 2, "no more is taken than there is");
    }
  }

  void check() override {
    require(accepted_ <= 2 + popped_, "no more is taken than there is");
    require(accepted_ >= 2, "all that there is can be taken");
    require(mailbox_.size() == static_cast<std::size_t>(accepted_ - popped_), "the size is right");
  }

 private:
  Mailbox mailbox_{2, false};
  std::array<Note, 4> notes_{};
  int accepted_ = 0;
  int popped_ = 0;
};

const Registration<Bound> bound{{.name = "bound", .threads = 3}};

}  // namespace
}  // namespace model
