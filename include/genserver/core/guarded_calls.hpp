// SPDX-License-Identifier: BSL-1.0
// The calls of one server that wait until its State allows them.
#pragma once

#include <genserver/base/message.hpp>

namespace genserver::inline v0 {

/// A call that is run only when its guard holds.
class GuardedMessage : public Message {
 public:
  inline void run(void* state) final;
  /// Runs, if the guard holds; returns false if not. Throws: as Message::run().
  virtual bool try_run(void* state) = 0;

 protected:
  using Message::Message;
  ~GuardedMessage() = default;
};

/// Calls whose guard did not hold, the oldest first.
///
/// Threads: who runs the server.
class GuardedCalls {
 public:
  [[nodiscard]] bool is_empty() const noexcept {
    return calls_.is_empty() && still_waiting_.is_empty();
  }
  void push_back(GuardedMessage& call) noexcept { calls_.push_back(call); }

  /// Gives each call to `attempt`, until that returns false for all that are left. After each
  /// success it begins again with the oldest, since State may have changed in its favour.
  template <class Attempt>
  void retry(Attempt&& attempt);

  void refuse_all(const Refusal& refusal) noexcept {
    still_waiting_.refuse_all(refusal);
    calls_.refuse_all(refusal);
  }

 private:
  MessageList calls_{};          // of GuardedMessages
  MessageList still_waiting_{};  // tried and passed over; only filled during retry()
};

template <class Attempt>
void GuardedCalls::retry(Attempt&& attempt) {
  while (Message* const call = calls_.pop_front()) {
    if (attempt(static_cast<GuardedMessage&>(*call))) {
      calls_.push_front(still_waiting_);
    } else {
      still_waiting_.push_back(*call);
    }
  }
  calls_.push_front(still_waiting_);
}

}  // namespace genserver::v0
