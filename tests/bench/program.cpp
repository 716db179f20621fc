// SPDX-License-Identifier: BSL-1.0
// How a benchmark program reads its arguments.
#include <bench/program.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

namespace bench {

namespace {

struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class Named>
const Named& named(const std::vector<Named>& all, std::string_view name, const char* what) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  if (found != all.end()) return *found;
  std::string message = "there is no " + std::string{what} + " \"" + std::string{name} + "\", but:";
  for (const Named& one : all) message += " " + std::string{one.name};
  throw Refused{message};
}

double factor(const std::string& word) {
  char* end = nullptr;
  const double scale = std::strtod(word.c_str(), &end);
  if (end == word.c_str() || *end != '\0' || !(scale > 0 && scale <= 1000)) {
    throw Refused{"--scale is \"" + word + "\", allowed is more than 0 and up to 1000"};
  }
  return scale;
}

/// Lets the second thread go when the program ends, however that is.
struct Ending {
  std::promise<void>& end;
  ~Ending() { end.set_value(); }
};

void list(const std::vector<PeerMeasures>& peers) {
  for (const PeerMeasures& peer : peers) {
    std::string line{peer.name};
    for (const Measure& measure : peer.measures) line += " " + std::string{measure.name};
    std::printf("%s\n", line.c_str());
  }
}

void obey(const std::vector<std::string>& words, const std::vector<PeerMeasures>& peers) {
  const PeerMeasures* peer = &peers.front();
  double scale = 1;
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--list") return list(peers);
    if (word == "--peer" || word == "--scale") {
      if (++i == words.size()) throw Refused{word + " needs a word after it"};
      if (word == "--peer") peer = &named(peers, words[i], "peer");
      if (word == "--scale") scale = factor(words[i]);
    } else {
      names.push_back(word);
    }
  }
  if (names.empty()) throw Refused{"which measure? --list tells those that there are"};
  std::vector<Measure> chosen;  // all are known before the first one runs
  for (const std::string_view name : names) {
    chosen.push_back(named(peer->measures, name, "measure"));
  }
  for (const Measure& measure : chosen) measure.run(Run{scale});
}

}  // namespace

std::chrono::nanoseconds Run::budget() const {
  constexpr double full = 200'000'000;
  return std::chrono::nanoseconds{static_cast<std::chrono::nanoseconds::rep>(full * scale_)};
}

std::size_t Run::scaled(std::size_t count) const {
  return std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(count) * scale_));
}

void Run::print(std::string_view measure, double value, std::string_view unit) const {
  std::printf("%.*s %.6g %.*s\n", static_cast<int>(measure.size()), measure.data(), value,
              static_cast<int>(unit.size()), unit.data());
  std::fflush(stdout);
}

void Run::expect(bool is_right, std::string_view what) {
  if (!is_right) throw std::runtime_error{"a result is wrong: " + std::string{what}};
}

int run_program(int argc, char** argv, const std::vector<PeerMeasures>& peers) {
  // Of a program with one thread the C library would leave the locked instructions out of mutexes.
  std::promise<void> end;
  const std::jthread second{[ended = end.get_future()] { ended.wait(); }};
  const Ending ending{end};
  try {
    obey({argv + 1, argv + argc}, peers);
    return 0;
  } catch (const Refused& refused) {
    std::fprintf(stderr, "%s: %s\n", argv[0], refused.what());
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s: %s\n", argv[0], failure.what());
    return 1;
  }
}

}  // namespace bench
