// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/deadline.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>
#include <string>

using genserver::Deadline;
using genserver::InvalidArgument;
using genserver::Timespan;
using namespace std::chrono_literals;

namespace {

using Clock = Deadline::Clock;
using Seconds = std::chrono::duration<double>;
using Hours = std::chrono::time_point<Clock, std::chrono::hours>;

std::chrono::nanoseconds length_of(Timespan span) { return span.length(); }

constexpr std::chrono::nanoseconds hundred_years = std::chrono::hours{24 * 365 * 100};

}  // namespace

TEST_CASE("a timespan is made from any duration", "[base][deadline]") {
  CHECK(length_of(3s) == 3s);
  CHECK(length_of(5ns) == 5ns);
  CHECK(length_of(2h) == 2h);
  CHECK(length_of(Seconds{0.25}) == 250ms);
  CHECK(length_of(std::chrono::duration<std::int8_t, std::milli>{7}) == 7ms);
  CHECK(length_of(0ms) == 0ns);
}

TEST_CASE("a very long timespan is cut at 100 years", "[base][deadline]") {
  CHECK(length_of(std::chrono::hours::max()) == hundred_years);
  CHECK(length_of(std::chrono::nanoseconds::max()) == hundred_years);
  CHECK(length_of(Seconds{std::numeric_limits<double>::infinity()}) == hundred_years);
  CHECK(length_of(hundred_years + 1s) == hundred_years);
  CHECK(length_of(hundred_years - 1s) == hundred_years - 1s);
}

TEST_CASE("a negative timespan is refused", "[base][deadline]") {
  CHECK_THROWS_AS(length_of(-1ns), InvalidArgument);
  CHECK_THROWS_AS(length_of(std::chrono::hours::min()), InvalidArgument);
  CHECK_THROWS_AS(length_of(Seconds{-1e-12}), InvalidArgument);
}

TEST_CASE("a timespan that is no number is refused", "[base][deadline]") {
  CHECK_THROWS_AS(length_of(Seconds{std::numeric_limits<double>::quiet_NaN()}), InvalidArgument);
}

TEST_CASE("a refused timespan is named with its call site", "[base][deadline]") {
  const std::string place = "deadline.cpp:" + std::to_string(__LINE__ + 3);

  try {
    static_cast<void>(length_of(-2s));
    FAIL("a negative duration was taken");
  } catch (const InvalidArgument& error) {
    CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring("-2"));
    CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring(place));
  }
}

TEST_CASE("a deadline is a point of steady_clock of any precision", "[base][deadline]") {
  const Clock::time_point now = Clock::now();

  CHECK(Deadline{now}.when() == now);
  CHECK(Deadline{Hours{std::chrono::hours{7}}}.when().time_since_epoch() == 7h);
  CHECK(Deadline{now + Seconds{0.5}}.when() >= now + 499ms);
}

TEST_CASE("never is later than every other deadline", "[base][deadline]") {
  const Deadline never = Deadline::never();

  CHECK(never.is_never());
  CHECK_FALSE(never.has_passed());
  CHECK(never.when() > Deadline::after(std::chrono::hours::max()).when());
  CHECK_FALSE(Deadline::after(std::chrono::hours::max()).is_never());
}

TEST_CASE("a point beyond the clock's range is never", "[base][deadline]") {
  CHECK(Deadline{Clock::time_point::max()}.is_never());
  CHECK(Deadline{Hours::max()}.is_never());
  CHECK(Deadline{Clock::now() + Seconds{std::numeric_limits<double>::infinity()}}.is_never());
}

TEST_CASE("a point of time in the past has passed", "[base][deadline]") {
  CHECK(Deadline{Clock::now()}.has_passed());
  CHECK(Deadline{Clock::now() - 1s}.has_passed());
  CHECK(Deadline{Clock::time_point{}}.has_passed());
  CHECK(Deadline{Clock::time_point::min()}.has_passed());
}

TEST_CASE("a point before the clock's range has passed", "[base][deadline]") {
  CHECK(Deadline{Hours{-2562048h}}.has_passed());  // 293 years: the first hour that is too much
  CHECK(Deadline{Hours::min()}.has_passed());
  CHECK(Deadline{Clock::now() - Seconds{std::numeric_limits<double>::infinity()}}.has_passed());
}

TEST_CASE("a deadline after a while lies that while ahead", "[base][deadline]") {
  const Clock::time_point before = Clock::now();
  const Deadline deadline = Deadline::after(1h);
  const Clock::time_point after = Clock::now();

  CHECK(deadline.when() >= before + 1h);
  CHECK(deadline.when() <= after + 1h);
  CHECK_FALSE(deadline.has_passed());
  CHECK(Deadline::after(0s).has_passed());
}

TEST_CASE("of two deadlines the earlier is taken", "[base][deadline]") {
  const Deadline soon{Clock::time_point{1h}};
  const Deadline late{Clock::time_point{2h}};

  CHECK(soon.or_earlier(late).when() == soon.when());
  CHECK(late.or_earlier(soon).when() == soon.when());
  CHECK(Deadline::never().or_earlier(soon).when() == soon.when());
  CHECK(Deadline::never().or_earlier(Deadline::never()).is_never());
}
