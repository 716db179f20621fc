// SPDX-License-Identifier: BSL-1.0
// An event that threads wait for, that is gone when they have, or that they are sent away from.
#include <genserver/sync/one_shot.hpp>

#include <models/suite.hpp>

#include <memory>

namespace model {
namespace {

using genserver::Deadline;
using genserver::OneShot;

// The waiter destroys it at once.
class OneWaiter final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) {
      while (!event_->sleep(Deadline::never())) {
      }
      event_.reset();
      require(result_ == 1, "what was written before is seen");
    } else {
      OneShot& event = *event_;  // its maker told it to the other before
      dawdle();
      result_ = 1;
      event.set();
    }
  }

 private:
  std::unique_ptr<OneShot> event_ = std::make_unique<OneShot>();
  Plain<int> result_{0};
};

const Registration<OneWaiter> one_waiter{{.name = "one_waiter", .switches = 4}};

class TwoWaiters final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) {
      dawdle();
      result_ = 1;
      event_.set();
      return;
    }
    if (thread == 1) {
      while (!event_.sleep(Deadline::never())) {
      }
    } else {
      while (!event_.is_set()) static_cast<void>(event_.sleep(Deadline::never()));
    }
    require(result_ == 1, "what was written before is seen");
  }

 private:
  OneShot event_{};
  Plain<int> result_{0};
};

const Registration<TwoWaiters> two_waiters{{.name = "two_waiters", .threads = 3}};

// Nobody sets it; who sleeps is sent away, now or when it comes to that.
class Interrupted final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) {
      while (!event_.sleep(Deadline::never()) && wanted_.load(memory_order_relaxed) == 1) {
      }
    } else {
      dawdle();
      wanted_.store(0, memory_order_relaxed);
      event_.interrupt();
    }
  }

 private:
  OneShot event_{};
  Atomic<int> wanted_{1};
};

const Registration<Interrupted> interrupted{{.name = "interrupted"}};

// It is set and interrupted at the same time, and comes to be set.
class SetAndInterrupted final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) {
      while (!event_.sleep(Deadline::never())) event_.forget_interrupt();
      require(result_ == 1, "what was written before is seen");
    } else if (thread == 1) {
      dawdle();
      result_ = 1;
      event_.set();
    } else {
      event_.interrupt();
    }
  }

  void check() override { require(event_.is_set(), "what is set stays set"); }

 private:
  OneShot event_{};
  Plain<int> result_{0};
};

const Registration<SetAndInterrupted> set_and_interrupted{
    {.name = "set_and_interrupted", .threads = 3}};

}  // namespace
}  // namespace model
