// SPDX-License-Identifier: BSL-1.0
// A server without its floors: a mailbox, where its thread sleeps, and a State.
#pragma once

#include <genserver/base/message.hpp>
#include <genserver/sync/mailbox.hpp>
#include <genserver/sync/one_shot.hpp>
#include <genserver/sync/parker.hpp>

#include <models/checked.hpp>

#include <array>
#include <cstddef>
#include <mutex>

namespace model {

using genserver::Deadline;
using genserver::Mailbox;
using genserver::Message;
using genserver::OneShot;
using genserver::Parker;
using genserver::Refusal;

/// A message that knows what became of it.
class Note final : public Message {
 public:
  Note() : Message{genserver::CallSite{}} {}

  void run(void*) override {
    require(content == number, "a message's content is lost");
    ++runs;
  }
  void refuse(const Refusal&) noexcept override { ++refusals; }

  std::size_t by = 0;  // which thread sends it
  int number = 0;
  bool is_last = false;           // of its sender
  bool has_continuation = false;  // it leaves work for the server's thread
  Plain<int> content{0};          // set to `number` before it is sent
  OneShot* done = nullptr;        // set when it has run

  // Seen by the model alone.
  int runs = 0;
  int refusals = 0;
};

/// Numbers all that `thread` sends.
template <std::size_t count>
void number(std::array<Note, count>& notes, int thread) {
  for (std::size_t i = 0; i < count; ++i) {
    notes[i].by = static_cast<std::size_t>(thread);
    notes[i].number = static_cast<int>(i) + 1;
    notes[i].is_last = i + 1 == count;
  }
}

/// Does what core's Inbox and ServerCore do to sleep and to wake, and nothing else.
class Server {
 public:
  Server(std::size_t capacity, bool is_lossy, int senders, bool has_timers = false)
      : mailbox{capacity, is_lossy}, senders_{senders}, has_timers_{has_timers} {
    mailbox.set_lease(lease_);
  }

  /// As Inbox::try_post(), or post() if not `is_counted`.
  Mailbox::Push post(Note& note, bool is_counted) {
    note.content = note.number;
    const Mailbox::Push result = mailbox.push(note, is_counted);
    if (result == Mailbox::Push::wake) parker.unpark();
    return result;
  }

  /// As Inbox::arm(): `note` is due at once.
  void arm(Note& note) {
    note.content = note.number;
    {
      const std::scoped_lock lock{timers_mutex_};
      due_ = &note;
    }
    parker.unpark();
  }

  /// As ServerCore::run(), by the server's thread: until every sender's last message has run.
  void serve() {
    while (!is_over() || continuations_ > 0) {
      if (Message* const message = next()) handle(static_cast<Note&>(*message));
    }
  }

  /// What a caller does with what is queued behind his own call.
  enum class Rest { is_handled, is_left };

  /// As ServerCore::try_run_here().
  bool try_run_here(Note& note, Rest rest) {
    const auto turn = mailbox.try_run_idle();
    if (!turn) return false;
    note.content = note.number;
    handle(note);
    if (continuations_ == 0 && !is_over() && mailbox.rest(*turn)) return true;
    rest == Rest::is_handled ? serve_as_caller() : hand_over();
    return true;
  }

  /// As ServerCore::exchange(), with callers who run the server.
  void exchange(Note& note) {
    OneShot done;
    note.done = &done;
    note.content = note.number;
    const auto take_part = [&] {
      if (!done.is_set() && mailbox.try_run()) serve_as_caller();
    };
    if (mailbox.push(note, false) == Mailbox::Push::wake) {
      take_part();
      if (!done.is_set() && mailbox.is_held_up()) parker.unpark();
    }
    for (unsigned looks = rl::rand(3); looks > 0; --looks) take_part();
    while (!done.sleep(Deadline::never())) {
    }
    note.done = nullptr;
  }

  [[nodiscard]] int state() const { return state_; }

  Mailbox mailbox;
  Parker parker{};

 private:
  Message* next() {
    if (continuations_ > 0) {
      --continuations_;
      return nullptr;
    }
    push_due();
    if (Message* const message = mailbox.pop()) return message;
    if (mailbox.has_news() || !mailbox.rest()) return nullptr;
    do {
      if (mailbox.is_held_up()) {
        pause();  // as a short sleep
      } else {
        parker.park(Deadline::never());
      }
      push_due();
    } while (!mailbox.try_run());
    return nullptr;
  }

  /// As ServerCore::serve().
  void serve_as_caller() {
    for (int handled = 0; handled < 2 && !is_over(); ++handled) {
      if (continuations_ > 0) {
        --continuations_;
      } else if (Message* const message = mailbox.pop()) {
        handle(static_cast<Note&>(*message));
      } else if (mailbox.rest()) {
        return;
      }
    }
    hand_over();
  }

  void hand_over() {
    if (mailbox.hand_over(continuations_ > 0 || is_over())) parker.unpark();
  }

  bool is_over() const { return ended_ == senders_; }

  void push_due() {
    if (!has_timers_) return;
    const std::scoped_lock lock{timers_mutex_};
    if (due_ == nullptr) return;
    mailbox.push(*due_, false);  // it is the runner that would have to be woken
    due_ = nullptr;
  }

  void handle(Note& note) {
    require(note.number > newest_[note.by], "messages of one sender are out of order");
    newest_[note.by] = note.number;
    ++state_;
    if (note.is_last) ++ended_;
    if (note.has_continuation) ++continuations_;
    note.run(nullptr);
    if (note.done != nullptr) note.done->set();
  }

  genserver::TurnLease lease_{};
  const int senders_;
  const bool has_timers_;
  Mutex timers_mutex_{};
  Plain<Note*> due_{nullptr};    // guarded by timers_mutex_
  std::array<int, 4> newest_{};  // seen by the model alone; numbers begin with 1

  // The runner's.
  Plain<int> state_{0};
  Plain<int> ended_{0};
  Plain<int> continuations_{0};
};

}  // namespace model
