// SPDX-License-Identifier: BSL-1.0
// A mailbox that is closed while others push: what was accepted is popped, the rest refused.
#include <models/server.hpp>
#include <models/suite.hpp>

#include <array>
#include <cstddef>

namespace model {
namespace {

class Close final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) {
      dawdle();
      take();  // some, perhaps
      reason_ = 1;
      mailbox_.close();
      while (take()) {
      }
      return;
    }
    const auto first = static_cast<std::size_t>(thread - 1) * 2;
    for (std::size_t i = first; i < first + 2; ++i) {
      accepted_[i] = mailbox_.push(notes_[i], i % 2 == 0) != Mailbox::Push::closed;
      if (!accepted_[i]) require(reason_ == 1, "who is refused knows why");
    }
    if (mailbox_.is_closed()) require(reason_ == 1, "who sees it closed knows why");
  }

  void check() override {
    for (std::size_t i = 0; i < notes_.size(); ++i) {
      require(notes_[i].refusals == (accepted_[i] ? 1 : 0), "accepted is popped, and only that");
    }
  }

 private:
  bool take() {
    Message* const message = mailbox_.pop();
    if (message != nullptr) message->refuse({});
    return message != nullptr;
  }

  Mailbox mailbox_{8, false};
  Plain<int> reason_{0};
  std::array<Note, 4> notes_{};
  std::array<bool, 4> accepted_{};
};

const Registration<Close> close{{.name = "close", .threads = 3}};

}  // namespace
}  // namespace model
