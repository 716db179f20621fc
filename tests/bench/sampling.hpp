// SPDX-License-Identifier: BSL-1.0
// How long something takes, from many samples of it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <latch>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

/// Returns nanoseconds since `began`.
inline double elapsed_since(Clock::time_point began) {
  return std::chrono::duration<double, std::nano>{Clock::now() - began}.count();
}

/// Returns the sample that `share` of all are below. There has to be one.
inline double quantile(std::vector<double>& samples, double share) {
  const auto rank = static_cast<std::ptrdiff_t>(share * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), samples.begin() + rank, samples.end());
  return samples[static_cast<std::size_t>(rank)];
}

inline double median(std::vector<double>& samples) { return quantile(samples, 0.5); }

/// What repeating an operation has shown, in nanoseconds for one.
struct Repeated {
  double median;      // of batches that are long beside a look at the clock
  double mean;        // of all
  std::size_t count;  // how often it was done, all in all
};

/// Repeats `operation` for `budget`, after warming up for a quarter of that.
template <class Operation>
Repeated repeat(std::chrono::nanoseconds budget, Operation&& operation) {
  const auto timed = [&](std::size_t size) {
    const auto began = Clock::now();
    for (std::size_t i = 0; i < size; ++i) operation();
    return elapsed_since(began);
  };
  std::size_t size = 1;
  std::size_t count = 0;
  const auto warm = Clock::now() + budget / 4;
  do {
    const double took = timed(size);
    count += size;
    if (took < static_cast<double>(budget.count()) / 64) size *= 2;
  } while (Clock::now() < warm);

  std::vector<double> samples;
  double total = 0;
  const auto due = Clock::now() + budget;
  do {
    const double took = timed(size);
    total += took;
    samples.push_back(took / static_cast<double>(size));
  } while (Clock::now() < due);
  const std::size_t measured = size * samples.size();
  return {median(samples), total / static_cast<double>(measured), count + measured};
}

/// Repeats what returns one sample, for `budget`, after one that does not count.
template <class Sample>
double median_of(std::chrono::nanoseconds budget, Sample&& sample) {
  sample();
  std::vector<double> samples;
  const auto due = Clock::now() + budget;
  do samples.push_back(sample());
  while (Clock::now() < due);
  return median(samples);
}

/// Threads that begin together.
class Together {
 public:
  /// Makes `count` threads, each of which runs `body(index)` after begin().
  template <class Body>
  Together(std::size_t count, Body body) : ready_{static_cast<std::ptrdiff_t>(count)} {
    for (std::size_t index = 0; index < count; ++index) {
      threads_.emplace_back([this, body, index]() mutable {
        ready_.count_down();
        begun_.wait();
        body(index);
      });
    }
    ready_.wait();
  }
  /// Blocks: until all bodies have returned.
  ~Together() { join(); }
  Together(const Together&) = delete;
  Together& operator=(const Together&) = delete;

  void begin() { begun_.count_down(); }
  /// Blocks: until all bodies have returned.
  void join() {
    for (std::thread& thread : std::exchange(threads_, {})) thread.join();
  }

 private:
  std::latch ready_;
  std::latch begun_{1};
  std::vector<std::thread> threads_{};
};

}  // namespace bench
