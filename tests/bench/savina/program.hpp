// SPDX-License-Identifier: BSL-1.0
// The suite as measures of a peer.
#pragma once

#include <bench/savina/banking.hpp>
#include <bench/savina/barber.hpp>
#include <bench/savina/big.hpp>
#include <bench/savina/bndbuffer.hpp>
#include <bench/savina/chameneos.hpp>
#include <bench/savina/concdict.hpp>
#include <bench/savina/count.hpp>
#include <bench/savina/fjthrput.hpp>
#include <bench/savina/philosopher.hpp>
#include <bench/savina/pingpong.hpp>
#include <bench/savina/sieve.hpp>
#include <bench/savina/threadring.hpp>

#include <chrono>
#include <vector>

namespace savina {

/// Prints how long the benchmark took, from its first server's start to its last one's end.
template <class Benchmark>
void measure(const Run& run) {
  Benchmark benchmark{run};
  const auto begin = std::chrono::steady_clock::now();
  benchmark.run();
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
  benchmark.check();
  run.print(Benchmark::name, taken.count(), "ms");
}

template <class... Benchmarks>
std::vector<bench::Measure> measures() {
  return {{Benchmarks::name, measure<Benchmarks>}...};
}

template <class Peer>
bench::PeerMeasures peer() {
  return {Peer::name,
          measures<PingPong<Peer>, Counting<Peer>, Throughput<Peer>, ThreadRing<Peer>,
                   Chameneos<Peer>, Big<Peer>, Dictionary<Peer>, BoundedBuffer<Peer>,
                   Philosophers<Peer>, SleepingBarber<Peer>, Sieve<Peer>, Banking<Peer>>()};
}

}  // namespace savina
