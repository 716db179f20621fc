// SPDX-License-Identifier: BSL-1.0
// services [seed [seconds [profile]]]: runs the service fuzzer; without a seed, a random one.
#include <fuzz/service_fuzzer.hpp>

#include <genserver/sync/report_sink.hpp>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

int main(int argc, char** argv) {
  const std::uint64_t seed =
      argc > 1 ? std::strtoull(argv[1], nullptr, 10) : std::random_device{}();
  const double seconds = argc > 2 ? std::strtod(argv[2], nullptr) : 10;
  const std::string wanted = argc > 3 ? argv[3] : "";
  genserver::set_report_sink([](const genserver::Report&) {});  // services may fail and hang here

  const std::vector<fuzz::Profile> all = fuzz::profiles();
  const double share = wanted.empty() ? seconds / static_cast<double>(all.size()) : seconds;
  std::size_t played = 0;
  std::size_t faults = 0;
  for (const fuzz::Profile& profile : all) {
    if (!wanted.empty() && profile.name != wanted) continue;
    ++played;
    const auto duration = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>{share});
    const fuzz::Outcome outcome = fuzz::ServiceFuzzer{profile, seed}.run(duration);
    std::printf("%-10s seed %llu: %zu steps, %zu starts, %zu ends, %zu failures\n",
                profile.name.c_str(), static_cast<unsigned long long>(seed), outcome.steps,
                outcome.starts, outcome.ends, outcome.failures);
    for (const auto& [what, count] : outcome.faults) {
      std::printf("  fault, %zu times: %s\n", count, what.c_str());
      ++faults;
    }
    std::fflush(stdout);
  }
  if (played == 0) std::printf("there is no profile \"%s\"\n", wanted.c_str());
  return faults == 0 && played > 0 ? 0 : 1;
}
