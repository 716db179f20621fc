// SPDX-License-Identifier: BSL-1.0
// A benchmark program: the peers it knows, what it can measure of each, and how it prints that.
#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>
#include <vector>

namespace bench {

/// What a measure is given: how long it may take, and where its numbers go.
class Run {
 public:
  explicit Run(double scale) : scale_{scale} {}

  /// How long a measure may repeat what it measures.
  [[nodiscard]] std::chrono::nanoseconds budget() const;
  /// How often something is done that takes `count` times in a full run; never 0.
  [[nodiscard]] std::size_t scaled(std::size_t count) const;

  /// Prints a line `measure value unit`. If the unit is per second, more is better, else less.
  void print(std::string_view measure, double value, std::string_view unit) const;

  /// Ends the program if a result is wrong, so that nobody is fast by losing messages.
  ///
  /// Throws: std::runtime_error.
  static void expect(bool is_right, std::string_view what);

 private:
  double scale_;
};

struct Measure {
  std::string_view name;
  void (*run)(const Run& run);
};

struct PeerMeasures {
  std::string_view name;
  std::vector<Measure> measures;
};

/// The main function of a program.
///
///   program --list                                          a line `peer measure...` for each
///   program [--peer NAME] [--scale FACTOR] measure...       the first peer, and 1, if left out
///
/// Returns: 2 if it does not understand what it is told, 1 if a measure fails.
int run_program(int argc, char** argv, const std::vector<PeerMeasures>& peers);

}  // namespace bench
