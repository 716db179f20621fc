// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/options.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <cstddef>
#include <limits>
#include <string>

using genserver::InvalidArgument;
using genserver::max_mailbox_capacity;
using genserver::Options;
using genserver::validate;
using namespace std::chrono_literals;

namespace {

Options with_capacity(std::size_t capacity) {
  Options options;
  options.name = "log";
  options.mailbox_capacity = capacity;
  return options;
}

std::string complaint(const Options& options) {
  try {
    validate(options);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("options that are left out make sense", "[base][options]") {
  CHECK_NOTHROW(validate(Options{}));
  CHECK_NOTHROW(validate(Options{.name = "log"}));
}

TEST_CASE("a sender waits for room unless the options say otherwise", "[base][options]") {
  CHECK(Options{}.on_full == genserver::OnFull::block);
}

TEST_CASE("deadlocks are raised unless the options say otherwise", "[base][options]") {
  CHECK(Options{}.on_deadlock == genserver::OnDeadlock::raise);
}

TEST_CASE("an exception goes to the caller unless the options say otherwise", "[base][options]") {
  CHECK(Options{}.on_exception == genserver::OnException::reply);
}

TEST_CASE("calls run on the server's thread unless the options say otherwise", "[base][options]") {
  CHECK(Options{}.run_calls == genserver::RunCalls::on_server_thread);
}

TEST_CASE("a mailbox has room for 1 to 32767 messages", "[base][options]") {
  STATIC_REQUIRE(max_mailbox_capacity == 32767);
  CHECK_NOTHROW(validate(with_capacity(1)));
  CHECK_NOTHROW(validate(with_capacity(max_mailbox_capacity)));
  CHECK_THROWS_AS(validate(with_capacity(0)), InvalidArgument);
  CHECK_THROWS_AS(validate(with_capacity(max_mailbox_capacity + 1)), InvalidArgument);
  CHECK_THROWS_AS(validate(with_capacity(std::numeric_limits<std::size_t>::max())),
                  InvalidArgument);
}

TEST_CASE("a refused capacity is named with what is allowed", "[base][options]") {
  using Catch::Matchers::ContainsSubstring;

  const std::string text = complaint(with_capacity(40000));

  CHECK_THAT(text, ContainsSubstring("log"));
  CHECK_THAT(text, ContainsSubstring("mailbox_capacity"));
  CHECK_THAT(text, ContainsSubstring("40000"));
  CHECK_THAT(text, ContainsSubstring("1 to 32767"));
}

TEST_CASE("the watchdog's time may be anything but negative", "[base][options]") {
  Options options;

  options.stuck_after = 0s;
  CHECK_NOTHROW(validate(options));
  options.stuck_after = std::chrono::nanoseconds::max();
  CHECK_NOTHROW(validate(options));
  options.stuck_after = -1ns;
  CHECK_THROWS_AS(validate(options), InvalidArgument);
}

TEST_CASE("a refused watchdog time is named with its value", "[base][options]") {
  using Catch::Matchers::ContainsSubstring;
  Options options;
  options.name = "log";
  options.stuck_after = -5ns;

  const std::string text = complaint(options);

  CHECK_THAT(text, ContainsSubstring("log"));
  CHECK_THAT(text, ContainsSubstring("stuck_after"));
  CHECK_THAT(text, ContainsSubstring("-5"));
}
