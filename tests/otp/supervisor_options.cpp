// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/supervisor_options.hpp>

#include <support/catch.hpp>
#include <support/thrown.hpp>

#include <limits>
#include <string>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

std::string complaint(const BackOff& back_off) {
  const auto error =
      thrown<InvalidArgument>([&] { validate(SupervisorOptions{.back_off = back_off}); });
  return error ? error->what() : "";
}

std::string complaint(const ChildSpec& spec, AutoShutdown auto_shutdown) {
  const auto error = thrown<InvalidArgument>([&] { validate(spec, auto_shutdown); });
  return error ? error->what() : "";
}

}  // namespace

TEST_CASE("the wait before a restart grows up to the longest", "[otp][supervisor_options]") {
  const BackOff back_off{.first = 100ms, .longest = 1s, .factor = 2};

  CHECK(back_off.delay(0, 0) == 100ms);
  CHECK(back_off.delay(1, 0) == 200ms);
  CHECK(back_off.delay(3, 0) == 800ms);
  CHECK(back_off.delay(4, 0) == 1s);
  CHECK(back_off.delay(std::numeric_limits<unsigned>::max(), 0) == 1s);
}

TEST_CASE("jitter makes a wait shorter by a random part", "[otp][supervisor_options]") {
  const BackOff back_off{.first = 100ms, .longest = 1s, .jitter = 0.5};

  CHECK(back_off.delay(0, 0) == 100ms);
  CHECK(back_off.delay(0, 0.5) == 75ms);
  CHECK(back_off.delay(0, 1) == 50ms);
  CHECK(BackOff{.first = 100ms, .jitter = 1}.delay(0, 1) == 0ms);
}

TEST_CASE("no wait is too long to be counted, and none is no number",
          "[otp][supervisor_options]") {
  const auto longest = std::chrono::nanoseconds::max();
  const BackOff endless{.first = 1ns, .longest = longest, .factor = 1e300};
  const BackOff none{.first = 0ns, .longest = longest, .factor = 1e300};

  CHECK(endless.delay(1000, 0) > 24h * 365 * 100);
  CHECK(none.delay(0, 0) == 0ns);
  CHECK(none.delay(1000, 0) == 0ns);  // 0 times infinity
  CHECK(BackOff{.first = longest, .longest = longest}.delay(5, 0) > 24h * 365 * 100);
}

TEST_CASE("a back-off that makes no sense is refused by name", "[otp][supervisor_options]") {
  const double no_number = std::numeric_limits<double>::quiet_NaN();

  CHECK(complaint(BackOff{}).empty());
  CHECK(has(complaint(BackOff{.first = -1ns}), "back_off.first is negative"));
  CHECK(has(complaint(BackOff{.first = 2s, .longest = 1s}), "back_off.longest"));
  CHECK(has(complaint(BackOff{.factor = 0.9}), "back_off.factor is 0.9"));
  CHECK(has(complaint(BackOff{.factor = no_number}), "back_off.factor"));
  CHECK(has(complaint(BackOff{.factor = std::numeric_limits<double>::infinity()}), "factor"));
  CHECK(has(complaint(BackOff{.jitter = 1.1}), "back_off.jitter is 1.1"));
  CHECK(has(complaint(BackOff{.jitter = -0.1}), "back_off.jitter"));
  CHECK(has(complaint(BackOff{.jitter = no_number}), "back_off.jitter"));
  CHECK(has(complaint(BackOff{.reset_after = -1ns}), "back_off.reset_after"));
}

TEST_CASE("a window of no length is refused by name", "[otp][supervisor_options]") {
  const auto error = thrown<InvalidArgument>([] {
    validate(SupervisorOptions{.name = "top", .within = -1ns});
  });

  REQUIRE(error);
  CHECK(std::string{error->what()} ==
        "supervisor \"top\": within is -1 ns, it has to be positive");
  CHECK_NOTHROW(validate(SupervisorOptions{}));
}

TEST_CASE("a specification that makes no sense is refused by name", "[otp][supervisor_options]") {
  const AutoShutdown any = AutoShutdown::any_significant;
  const ChildSpec permanent{.id = "a", .significant = true};
  const ChildSpec transient{.id = "a", .restart = Restart::transient, .significant = true};

  CHECK(complaint({.id = "a"}, AutoShutdown::never).empty());
  CHECK(complaint(transient, any).empty());
  CHECK(complaint(transient, AutoShutdown::all_significant).empty());
  CHECK(has(complaint({}, any), "no id"));
  CHECK(has(complaint(permanent, any), "child \"a\": a permanent child cannot be significant"));
  CHECK(has(complaint(transient, AutoShutdown::never), "auto_shutdown is never"));
  CHECK_NOTHROW(validate(ChildSpec{}, any, ChildIds::any));
}
