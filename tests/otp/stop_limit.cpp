// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/stop_limit.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <memory>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Time = Deadline::Clock::time_point;

/// A limit with one above it, and one above that.
struct Tree {
  std::shared_ptr<StopLimit> top = std::make_shared<StopLimit>();
  std::shared_ptr<StopLimit> middle = std::make_shared<StopLimit>();
  std::shared_ptr<StopLimit> low = std::make_shared<StopLimit>();

  Tree() {
    middle->set_above(top);
    low->set_above(middle);
  }
};

}  // namespace

TEST_CASE("without a limit nobody has to end", "[otp][stop_limit]") {
  const Tree tree;

  CHECK(tree.low->get().is_never());
  CHECK(tree.low->of_child(Time{}).is_never());
  CHECK(tree.low->of_supervisor().is_never());
}

TEST_CASE("a limit holds for all below, and not for those above", "[otp][stop_limit]") {
  const Tree tree;
  const Time limit = Time{} + 1h;

  tree.middle->set(Deadline{limit});

  CHECK(tree.low->get().when() == limit);
  CHECK(tree.middle->get().when() == limit);
  CHECK(tree.top->get().is_never());

  tree.top->set(Deadline{limit - 1s});  // the earlier one counts
  CHECK(tree.low->get().when() == limit - 1s);
  tree.top->set(Deadline{limit + 1s});
  CHECK(tree.low->get().when() == limit);
}

TEST_CASE("who is below is done earlier", "[otp][stop_limit]") {
  const Tree tree;
  const Time limit = Time{} + 1h;
  tree.top->set(Deadline{limit}, 16s);

  CHECK(tree.top->of_supervisor().when() == limit + 16s);
  CHECK(tree.middle->of_supervisor().when() == limit + 8s);
  CHECK(tree.low->of_supervisor().when() == limit + 4s);
}

TEST_CASE("a server has until the limit, and if it is asked late, a moment",
          "[otp][stop_limit]") {
  StopLimit limits;
  const Time limit = Time{} + 1h;
  limits.set(Deadline{limit}, 16s);

  CHECK(limits.of_child(Time{}).when() == limit);
  CHECK(limits.of_child(limit - 2s).when() == limit);
  CHECK(limits.of_child(limit - 1s).when() == limit + 1s);
  CHECK(limits.of_child(limit + 3s).when() == limit + 5s);
  CHECK(limits.of_child(limit + 15s).when() == limit + 16s);
  CHECK(limits.of_child(limit + 1h).when() == limit + 16s);
}

TEST_CASE("the topmost knows who was killed, if there is a limit", "[otp][stop_limit]") {
  const Tree tree;
  const GenServer<int> first{{}, 0};
  const GenServer<int> second{{}, 0};

  tree.low->add_killed(first);
  CHECK(tree.top->killed().empty());

  tree.top->set(Deadline{Time{} + 1h});
  tree.low->add_killed(first);
  tree.top->add_killed(second);

  CHECK(tree.top->killed() == std::vector<AnyRef>{first, second});
  CHECK(tree.low->killed().empty());
}

TEST_CASE("who has given up is known at its own limit only", "[otp][stop_limit]") {
  const Tree tree;

  tree.middle->give_up();

  CHECK(tree.middle->has_given_up());
  CHECK_FALSE(tree.top->has_given_up());
  CHECK_FALSE(tree.low->has_given_up());
}
