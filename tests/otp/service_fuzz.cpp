// SPDX-License-Identifier: BSL-1.0
// Services under random load, for a moment; tests/fuzz/services does that for as long as one likes.
#include <fuzz/service_fuzzer.hpp>

#include <support/catch.hpp>
#include <support/report_log.hpp>

#include <chrono>
#include <random>
#include <string>

using namespace std::chrono_literals;

namespace {

void check(const fuzz::Profile& profile, std::chrono::milliseconds duration) {
  const ReportLog log;
  const std::uint64_t seed = std::random_device{}();
  INFO("profile " << profile.name << ", seed " << seed);

  const fuzz::Outcome outcome = fuzz::ServiceFuzzer{profile, seed}.run(duration);

  for (const auto& [what, count] : outcome.faults) {
    INFO(what << ", " << count << " times");
    CHECK(count == 0);
  }
  CHECK(outcome.starts == outcome.ends);
  CHECK(outcome.starts > 0);
  if (profile.is_happy) CHECK(outcome.failures == 0);
}

}  // namespace

TEST_CASE("whatever is done to services, each start has one end, and none is left",
          "[otp][service_fuzz]") {
  for (const fuzz::Profile& profile : fuzz::profiles()) check(profile, 300ms);
}

TEST_CASE("the same holds for long", "[otp][service_fuzz][.stress]") {
  for (const fuzz::Profile& profile : fuzz::profiles()) check(profile, 5s);
}
