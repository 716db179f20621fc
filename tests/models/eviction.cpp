// SPDX-License-Identifier: BSL-1.0
// Senders that make room by evicting the oldest message, while the server pops and rests.
#include <models/server.hpp>
#include <models/suite.hpp>

#include <array>
#include <cstddef>

namespace model {
namespace {

class Eviction final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) return server_.serve();
    auto& notes = notes_[static_cast<std::size_t>(thread - 1)];
    number(notes, thread);
    for (std::size_t i = 0; i < notes.size(); ++i) {
      while (server_.post(notes[i], is_counted(i)) == Mailbox::Push::full) evict();
    }
    evict();
  }

  void check() override {
    for (const auto& notes : notes_) {
      for (std::size_t i = 0; i < notes.size(); ++i) {
        require(notes[i].runs + notes[i].refusals == 1, "each message runs once, or is evicted");
        require(is_counted(i) || notes[i].runs == 1, "what takes no place is not evicted");
      }
    }
    require(server_.mailbox.size() == 0, "no place is taken in the end");
  }

 private:
  void evict() {
    if (Message* const oldest = server_.mailbox.evict_oldest()) oldest->refuse({});
  }
  static bool is_counted(std::size_t i) { return i < 2; }  // so that the last one is not evicted

  Server server_{1, true, 2};
  std::array<std::array<Note, 3>, 2> notes_{};
};

const Registration<Eviction> eviction{{.name = "eviction", .threads = 3}};

}  // namespace
}  // namespace model
