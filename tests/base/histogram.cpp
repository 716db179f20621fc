// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/histogram.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <cstddef>

using genserver::Histogram;
using namespace std::chrono_literals;

TEST_CASE("a histogram without entries has a quantile of 0", "[base][histogram]") {
  CHECK(Histogram{}.count() == 0);
  CHECK(Histogram{}.quantile(0.5) == 0ns);
}

TEST_CASE("every length falls below the limit of its bucket, and not below the one before",
          "[base][histogram]") {
  for (std::chrono::nanoseconds length = 1ns; length < 30s; length = length * 3 / 2 + 1ns) {
    const std::size_t bucket = Histogram::bucket_of(length);

    CHECK(length < Histogram::limit(bucket));
    if (bucket > 0) CHECK(length >= Histogram::limit(bucket - 1));
  }
}

TEST_CASE("what is negative counts as 0, and what is longer than all limits in the last bucket",
          "[base][histogram]") {
  CHECK(Histogram::bucket_of(-5s) == Histogram::bucket_of(0ns));
  CHECK(Histogram::bucket_of(1000h) == Histogram::bucket_count - 1);
  CHECK(Histogram::limit(Histogram::bucket_count - 1) == std::chrono::nanoseconds::max());
  CHECK(Histogram::limit(Histogram::bucket_count - 2) >= 60s);
}

TEST_CASE("a quantile is the limit below which that part of all lies", "[base][histogram]") {
  Histogram times;
  times.add(Histogram::bucket_of(1us), 98);
  times.add(Histogram::bucket_of(1ms), 1);
  times.add(Histogram::bucket_of(1s), 1);

  CHECK(times.count() == 100);
  CHECK(times.quantile(0.5) == 1024ns);
  CHECK(times.quantile(0.98) == 1024ns);
  CHECK(times.quantile(0.99) == Histogram::limit(Histogram::bucket_of(1ms)));
  CHECK(times.quantile(1) == Histogram::limit(Histogram::bucket_of(1s)));
}

TEST_CASE("a part outside of 0 to 1 is taken for the nearest", "[base][histogram]") {
  Histogram times;
  times.add(Histogram::bucket_of(1us), 1);
  times.add(Histogram::bucket_of(1s), 1);

  CHECK(times.quantile(-1) == times.quantile(0));
  CHECK(times.quantile(7) == times.quantile(1));
  CHECK(times.quantile(0) == 1024ns);
}
