// SPDX-License-Identifier: BSL-1.0
// A count of how often something took how long.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace genserver::inline v0 {

/// Counts lengths of time in steps of a factor of two, from 128 ns to more than a minute.
///
/// So a quantile is known to within a factor of two, and adding one is a shift and an addition.
class Histogram {
 public:
  static constexpr std::size_t bucket_count = 31;

  /// Returns the bucket into which `length` falls; what is negative counts as 0.
  static constexpr std::size_t bucket_of(std::chrono::nanoseconds length) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(length.count(), 0));
    return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(ns >> 7)),
                                 bucket_count - 1);
  }
  /// Returns what is longer than all that falls into `bucket`; the last one has no such limit.
  static constexpr std::chrono::nanoseconds limit(std::size_t bucket) noexcept {
    if (bucket + 1 >= bucket_count) return std::chrono::nanoseconds::max();
    return std::chrono::nanoseconds{std::int64_t{1} << (bucket + 7)};
  }

  void add(std::size_t bucket, std::uint64_t times) noexcept { counts_[bucket] += times; }

  [[nodiscard]] std::uint64_t count() const noexcept;
  [[nodiscard]] std::uint64_t count(std::size_t bucket) const noexcept { return counts_[bucket]; }

  /// Returns a length that a `part` of all, 0.5 for the median, does not exceed; 0 without any.
  [[nodiscard]] std::chrono::nanoseconds quantile(double part) const noexcept;

 private:
  std::array<std::uint64_t, bucket_count> counts_{};
};

inline std::uint64_t Histogram::count() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : counts_) sum += count;
  return sum;
}

inline std::chrono::nanoseconds Histogram::quantile(double part) const noexcept {
  const std::uint64_t all = count();
  if (all == 0) return std::chrono::nanoseconds{0};
  const double wanted = std::clamp(part, 0.0, 1.0) * static_cast<double>(all);
  std::uint64_t sum = 0;
  for (std::size_t bucket = 0; bucket < bucket_count; ++bucket) {
    sum += counts_[bucket];
    if (counts_[bucket] != 0 && static_cast<double>(sum) >= wanted) return limit(bucket);
  }
  return limit(bucket_count - 1);
}

}  // namespace genserver::v0
