// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/child_definition.hpp>

#include <genserver/otp/supervisor.hpp>
#include <support/catch.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

class Words : public GenServer<std::vector<std::string>> {
 public:
  Words(std::string first, const std::vector<std::string>& others)
      : GenServer({.name = first}, others) {}
  std::size_t size() {
    return call([](std::vector<std::string>& words) { return words.size(); });
  }
  void add(std::string word) {
    call([word](std::vector<std::string>& words) { words.push_back(word); });
  }
};

struct NoServer {};

std::shared_ptr<Words> words_of(const StartedChild& child) {
  return std::static_pointer_cast<Words>(child.owner);
}

}  // namespace

static_assert(ChildType<GenServer<int>>);
static_assert(ChildType<Words>);
static_assert(ChildType<Supervisor>);
static_assert(!ChildType<NoServer>);
static_assert(!ChildType<int>);

TEST_CASE("every start gets the same arguments", "[otp][child_definition]") {
  std::vector<std::string> others{"b", "c"};
  const ChildDefinition definition = child<Words>({.id = "words"}, "a", others);
  others.clear();

  const StartedChild first = definition.start();
  words_of(first)->add("d");
  const ChildDefinition copy{definition};
  const StartedChild second = copy.start();

  CHECK(words_of(first)->size() == 3);
  CHECK(words_of(second)->size() == 2);
  CHECK(first.server != second.server);
  CHECK(second.server.name() == "a");
  CHECK(first.server == words_of(first)->ref());
}

TEST_CASE("a definition tells what it is of", "[otp][child_definition]") {
  const ChildDefinition worker =
      child<GenServer<int>>({.id = "a", .restart = Restart::transient}, Options{}, 1);
  const ChildDefinition supervisor = child<Supervisor>({.id = "b"});

  CHECK(worker.spec().id == "a");
  CHECK(worker.spec().restart == Restart::transient);
  CHECK(worker.type_name() == type_name<GenServer<int>>());
  CHECK(worker.type() == ChildDefinition::type_of<GenServer<int>>());
  CHECK(worker.type() != supervisor.type());
  CHECK_FALSE(worker.is_supervisor());
  CHECK(supervisor.is_supervisor());
}

TEST_CASE("a worker has 5 s to end, a supervisor as long as it takes", "[otp][child_definition]") {
  const ChildSpec own{.id = "a", .shutdown = 1s};

  CHECK(child<GenServer<int>>({.id = "a"}, Options{}, 1).shutdown() == Shutdown{5s});
  CHECK(child<Supervisor>({.id = "a"}).shutdown() == Shutdown::infinity());
  CHECK(child<GenServer<int>>(own, Options{}, 1).shutdown() == Shutdown{1s});
  CHECK(child<Supervisor>(own).shutdown() == Shutdown{1s});
}

TEST_CASE("only a supervisor has a limit for its stop", "[otp][child_definition]") {
  CHECK(child<GenServer<int>>({.id = "a"}, Options{}, 1).start().limit == nullptr);

  const StartedChild supervisor = child<Supervisor>({.id = "a"}).start();
  REQUIRE(supervisor.limit != nullptr);
  CHECK(supervisor.limit->get().is_never());
  const Deadline limit = Deadline::after(1h);
  supervisor.limit->set(limit);
  CHECK(supervisor.limit->get().when() == limit.when());
}

TEST_CASE("a start throws what the constructor throws", "[otp][child_definition]") {
  struct Failing {
    explicit Failing(int code) { throw code; }
  };

  CHECK_THROWS_AS(child<GenServer<Failing>>({.id = "a"}, Options{}, 7).start(), int);
}
