// SPDX-License-Identifier: BSL-1.0
// A futex that gives no more than a futex has to: no order, and wake-ups for no reason.
#pragma once

#include <genserver/base/deadline.hpp>

#include <models/checked.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace model {

/// Who sleeps on which word. That a word still holds a value, and falling asleep on it, are one
/// step. Nothing is published by waking or sleeping.
class Futex {
 public:
  static Futex& instance() {
    static constinit Futex futex;
    return futex;
  }

  /// Before each run. `is_timed`: deadlines can pass; else there is none. `is_spurious`: sleepers
  /// wake up for no reason.
  void begin(bool is_timed, bool is_spurious) {
    is_timed_ = is_timed;
    is_spurious_ = is_spurious;
    count_ = 0;
  }

  bool sleep_while_equal(const Atomic<std::uint32_t>& word, std::uint32_t expected,
                         genserver::Deadline deadline) {
    rl::context& context = rl::ctx();
    context.sched();
    if (word.latest() != expected) {
      context.yield(1, Place::here());  // who looks again sees it at last
      return true;
    }
    const rl::thread_id_t thread = context.current_thread();
    sleepers_[count_++] = {&word, thread};
    const bool can_pass = is_timed_ && !deadline.is_never();
    const auto reason = context.park_current_thread(can_pass, is_spurious_, false, Place::here());
    if (reason != rl::unpark_reason_normal) remove(thread);
    return reason != rl::unpark_reason_timeout;
  }

  void wake_all(const void* word) {
    rl::context& context = rl::ctx();
    context.sched();
    for (std::size_t i = count_; i-- > 0;) {
      const Sleeper sleeper = sleepers_[i];
      if (sleeper.word != word) continue;
      remove(sleeper.thread);
      context.unpark_thread(sleeper.thread, false, Place::here());
    }
  }

 private:
  struct Sleeper {
    const void* word = nullptr;
    rl::thread_id_t thread = 0;
  };

  void remove(rl::thread_id_t thread) {
    std::size_t left = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      if (sleepers_[i].thread != thread) sleepers_[left++] = sleepers_[i];
    }
    count_ = left;
  }

  std::array<Sleeper, 8> sleepers_{};
  std::size_t count_ = 0;
  bool is_timed_ = false;
  bool is_spurious_ = false;
};

/// Stands for pause_cpu(): others go on.
inline void pause() { rl::yield(1, Place::here()); }

}  // namespace model

namespace genserver::inline v0 {

inline bool sleep_while_equal(const model::Atomic<std::uint32_t>& word, std::uint32_t expected,
                              Deadline deadline) {
  return model::Futex::instance().sleep_while_equal(word, expected, deadline);
}

inline void wake_all(const model::Atomic<std::uint32_t>* word) {
  model::Futex::instance().wake_all(word);
}

}  // namespace genserver::v0
