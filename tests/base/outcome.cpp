// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/outcome.hpp>

#include <support/catch.hpp>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using genserver::ExitReason;
using genserver::Outcome;
using genserver::Refusal;

namespace {

// Counts how many of it are alive.
class Tracked {
 public:
  explicit Tracked(int& alive) : alive_{&alive} { ++*alive_; }
  Tracked(const Tracked& other) : alive_{other.alive_} { ++*alive_; }
  Tracked& operator=(const Tracked&) = delete;
  ~Tracked() { --*alive_; }

 private:
  int* alive_;
};

class NoDefault {
 public:
  explicit NoDefault(int number) : number_{number} {}
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

// Throws whenever it is moved.
struct Fragile {
  Fragile() = default;
  Fragile(Fragile&&) noexcept(false) { throw std::runtime_error{"broken on the way"}; }
  Fragile& operator=(Fragile&&) = delete;
  ~Fragile() = default;
};

}  // namespace

TEST_CASE("an outcome gives back the value that was kept", "[base][outcome]") {
  Outcome<std::string> outcome;

  outcome.emplace_result_of([] { return std::string(100, 'x'); });

  CHECK_FALSE(outcome.is_refusal());
  CHECK(outcome.take() == std::string(100, 'x'));
}

TEST_CASE("an outcome of nothing runs the function and gives nothing back", "[base][outcome]") {
  Outcome<void> outcome;
  int runs = 0;

  outcome.emplace_result_of([&] { ++runs; });

  CHECK(runs == 1);
  CHECK_NOTHROW(outcome.take());
  STATIC_REQUIRE(std::is_void_v<decltype(outcome.take())>);
}

TEST_CASE("a value that can only be moved goes through an outcome", "[base][outcome]") {
  Outcome<std::unique_ptr<int>> outcome;

  outcome.emplace_result_of([] { return std::make_unique<int>(7); });
  const std::unique_ptr<int> taken = outcome.take();

  REQUIRE(taken != nullptr);
  CHECK(*taken == 7);
}

TEST_CASE("a value needs no default constructor", "[base][outcome]") {
  Outcome<NoDefault> outcome;

  outcome.emplace_result_of([] { return NoDefault{7}; });

  CHECK(outcome.take().number() == 7);
}

TEST_CASE("a constant result is kept as a value that can be moved", "[base][outcome]") {
  CHECK(std::is_same_v<Outcome<const std::string>::Value, std::string>);
}

TEST_CASE("a value is made in place", "[base][outcome]") {
  Outcome<Fragile> outcome;

  CHECK_NOTHROW(outcome.emplace_result_of([] { return Fragile{}; }));
}

TEST_CASE("a value whose move throws is taken with that exception", "[base][outcome]") {
  Outcome<Fragile> outcome;
  outcome.emplace_result_of([] { return Fragile{}; });

  CHECK_THROWS_WITH(outcome.take(), "broken on the way");
}

TEST_CASE("an outcome that is not taken destroys its value", "[base][outcome]") {
  int alive = 0;

  {
    Outcome<Tracked> outcome;
    outcome.emplace_result_of([&] { return Tracked{alive}; });
    REQUIRE(alive == 1);
  }

  CHECK(alive == 0);
}

TEST_CASE("a value that is taken is destroyed once on both sides", "[base][outcome]") {
  int alive = 0;

  {
    Outcome<Tracked> outcome;
    outcome.emplace_result_of([&] { return Tracked{alive}; });
    const Tracked taken = outcome.take();
    CHECK(alive >= 1);
  }

  CHECK(alive == 0);
}

TEST_CASE("an outcome stays empty if the function throws", "[base][outcome]") {
  int alive = 0;
  Outcome<Tracked> outcome;

  CHECK_THROWS_AS(outcome.emplace_result_of([&]() -> Tracked { throw std::logic_error{"no"}; }),
                  std::logic_error);
  outcome.set_exception(std::make_exception_ptr(std::runtime_error{"kept"}));

  CHECK(alive == 0);
  CHECK_THROWS_WITH(outcome.take(), "kept");
}

TEST_CASE("a kept exception is thrown to who takes the outcome", "[base][outcome]") {
  Outcome<int> number;
  Outcome<void> nothing;

  number.set_exception(std::make_exception_ptr(std::out_of_range{"too far"}));
  nothing.set_exception(std::make_exception_ptr(7));

  CHECK_FALSE(number.is_refusal());
  CHECK_THROWS_AS(number.take(), std::out_of_range);
  CHECK_THROWS_AS(nothing.take(), int);
}

TEST_CASE("an exception that was thrown is no longer held", "[base][outcome]") {
  auto tracked = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = tracked;
  Outcome<int> outcome;
  outcome.set_exception(std::make_exception_ptr(std::move(tracked)));

  CHECK_THROWS_AS(outcome.take(), std::shared_ptr<int>);

  CHECK(alive.expired());
}

TEST_CASE("an exception that nobody takes is freed with the outcome", "[base][outcome]") {
  auto tracked = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = tracked;

  {
    Outcome<int> outcome;
    outcome.set_exception(std::make_exception_ptr(std::move(tracked)));
    REQUIRE_FALSE(alive.expired());
  }

  CHECK(alive.expired());
}

TEST_CASE("an outcome can say that the request was refused and why", "[base][outcome]") {
  Outcome<std::vector<int>> outcome;
  REQUIRE_FALSE(outcome.is_refusal());

  outcome.set_refusal({Refusal::Kind::gone, ExitReason::shutdown("upgrade")});

  REQUIRE(outcome.is_refusal());
  CHECK(outcome.refusal().kind == Refusal::Kind::gone);
  CHECK(outcome.refusal().reason == ExitReason::shutdown("upgrade"));
}

TEST_CASE("a refusal frees its reason with the outcome", "[base][outcome]") {
  auto tracked = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = tracked;

  {
    Outcome<int> outcome;
    outcome.set_refusal(
        {Refusal::Kind::gone, ExitReason::exception(std::make_exception_ptr(std::move(tracked)))});
    REQUIRE_FALSE(alive.expired());
  }

  CHECK(alive.expired());
}

TEST_CASE("an outcome cannot be copied or moved", "[base][outcome]") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<Outcome<int>>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<Outcome<int>>);
  STATIC_REQUIRE_FALSE(std::is_move_assignable_v<Outcome<int>>);
}
