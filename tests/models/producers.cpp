// SPDX-License-Identifier: BSL-1.0
// Two senders, and a server that runs, rests and sleeps: all is handled, in order, none is lost.
#include <models/server.hpp>
#include <models/suite.hpp>

#include <array>
#include <cstddef>

namespace model {
namespace {

class Producers final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) return server_.serve();
    auto& notes = notes_[static_cast<std::size_t>(thread - 1)];
    number(notes, thread);
    for (std::size_t i = 0; i < notes.size(); ++i) {
      const bool is_counted = i % 2 == 0;
      require(server_.post(notes[i], is_counted) <= Mailbox::Push::wake, "there was room");
      require(server_.mailbox.size() <= 2, "what takes no place is not counted");
    }
  }

  void check() override {
    for (const auto& notes : notes_) {
      for (const Note& note : notes) require(note.runs == 1, "each message runs once");
    }
    require(server_.mailbox.size() == 0, "no place is taken in the end");
  }

 private:
  Server server_{8, false, 2};
  std::array<std::array<Note, 2>, 2> notes_{};
};

const Registration<Producers> producers{{.name = "producers", .threads = 3}};

// One arms a timer, the other sends.
class Timer final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) return server_.serve();
    Note& note = notes_[static_cast<std::size_t>(thread - 1)];
    note.by = static_cast<std::size_t>(thread);
    note.number = 1;
    note.is_last = true;
    if (thread == 1) {
      server_.arm(note);
    } else {
      server_.post(note, false);
    }
  }

  void check() override {
    for (const Note& note : notes_) require(note.runs == 1, "each message runs once");
  }

 private:
  Server server_{1, false, 2, true};
  std::array<Note, 2> notes_{};
};

const Registration<Timer> timer{{.name = "timer", .threads = 3}};

}  // namespace
}  // namespace model
