// SPDX-License-Identifier: BSL-1.0
// The parts that the benchmarks of the Savina suite share.
//
// A benchmark is a class template over a peer, made for a Run, whose scale says how much of the
// suite's default parameters is run. What is measured is its run(): it makes the servers, and
// returns when they have ended. Its check() throws unless the right thing came out.
//
// Servers know each other by address. So none may go while another may still be inside a cast to
// it: when all messages have been handled, run() first calls each server that casts. The answers
// come when the last handlers have returned.
//
// Source: Imam and Sarkar, "Savina - An Actor Benchmark Suite", AGERE 2014,
//         doi:10.1145/2687357.2687368, and the parameters in the suite's repository.
#pragma once

#include <bench/program.hpp>

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>

namespace savina {

using bench::Run;
using Count = std::size_t;

/// Throws unless what came out is what was expected.
template <class T>
void expect(const std::string& what, T expected, T found, double tolerance = 0) {
  const auto distance = std::abs(static_cast<double>(found) - static_cast<double>(expected));
  if (distance <= tolerance * std::abs(static_cast<double>(expected))) return;
  throw std::runtime_error{what + ": expected " + std::to_string(expected) + ", found " +
                           std::to_string(found)};
}

/// What run() waits for: that a server says that all is done.
class Finish {
 public:
  void signal() {
    const std::scoped_lock lock{mutex_};
    is_done_ = true;
    done_.notify_one();
  }
  /// Ends the program if that never comes: servers that wait for a lost message cannot be stopped.
  ///
  /// Blocks: until signal(), or for a time that no benchmark needs, unless its scale is in the
  /// tens.
  void wait() {
    constexpr std::chrono::minutes limit{10};
    std::unique_lock lock{mutex_};
    if (done_.wait_for(lock, limit, [this] { return is_done_; })) return;
    std::fputs("expected an end within 10 minutes, found none: a message was lost\n", stderr);
    std::_Exit(EXIT_FAILURE);
  }

 private:
  std::mutex mutex_{};
  std::condition_variable done_{};
  bool is_done_ = false;  // guarded by mutex_
};

/// Calls each server with `question`, and returns the sum of the answers.
template <class Servers, class Question>
auto sum(Servers& servers, Question question) {
  decltype(servers.front().call(question)) total{};
  for (auto& server : servers) total += server.call(question);
  return total;
}

/// The suite's own generator, which gives the same 16-bit numbers in each language.
class PseudoRandom {
 public:
  explicit PseudoRandom(Count seed = 74755) : value_{seed} {}

  Count next() { return value_ = (value_ * 1309 + 13849) & 65535; }
  Count next(Count end) { return next() % end; }
  double next_fraction() { return 1 / static_cast<double>(next() + 1); }

 private:
  Count value_;
};

}  // namespace savina
