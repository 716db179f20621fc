// SPDX-License-Identifier: BSL-1.0
// One thread that parks, and two that unpark it: none of them is missed.
#include <genserver/sync/parker.hpp>

#include <models/suite.hpp>

#include <array>
#include <cstddef>

namespace model {
namespace {

using genserver::Deadline;
using genserver::Parker;

// What comes before an unpark() is seen after the park() that it ends.
class Token final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) {
      parker_.park(Deadline::never());
      require(written_ == 1, "what was written before is seen");
    } else {
      dawdle();
      written_ = 1;
      parker_.unpark();
    }
  }

 private:
  Parker parker_{};
  Plain<int> written_{0};
};

const Registration<Token> token{{.name = "token", .switches = 4}};

// What comes while it is not parked is remembered.
class Parking final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) {
      while (!is_written(0) || !is_written(1)) parker_.park(Deadline::never());
    } else {
      dawdle();
      written_[static_cast<std::size_t>(thread - 1)].store(1, memory_order_relaxed);
      parker_.unpark();
    }
  }

 private:
  bool is_written(std::size_t i) { return written_[i].load(memory_order_relaxed) == 1; }

  Parker parker_{};
  std::array<Atomic<int>, 2> written_{0, 0};  // ordered by the parker alone
};

const Registration<Parking> parking{{.name = "parking", .threads = 3, .switches = 3}};

}  // namespace
}  // namespace model
