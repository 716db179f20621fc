// SPDX-License-Identifier: BSL-1.0
// What is measured of every peer.
#pragma once

#include <bench/footprint.hpp>
#include <bench/program.hpp>
#include <bench/sampling.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

using Count = std::uint64_t;
template <class Peer>
using Counter = typename Peer::template Server<Count>;

inline constexpr auto increment = [](Count& n) { return ++n; };
inline constexpr auto add_one = [](Count& n) { ++n; };
inline constexpr auto value = [](Count& n) { return n; };

/// One client: `call_1` is the median, `call_1_p99` what one call of a hundred takes at least.
template <class Peer>
void call_1(const Run& run) {
  Counter<Peer> server{0U};
  const Repeated calls = repeat(run.budget(), [&] { server.call(increment); });
  std::vector<double> single;
  const auto due = Clock::now() + run.budget() / 4;
  do {
    const auto began = Clock::now();
    server.call(increment);
    single.push_back(elapsed_since(began));
  } while (Clock::now() < due);
  Run::expect(server.call(value) == calls.count + single.size(), "the calls of one client");
  run.print("call_1", calls.median, "ns");
  run.print("call_1_p99", quantile(single, 0.99), "ns");
}

/// One client, while `busy` other threads compute.
template <class Peer>
void call_busy(const Run& run, std::size_t busy) {
  Counter<Peer> server{0U};
  std::atomic<bool> is_over{false};
  Together others{busy, [&](std::size_t) {
                    while (!is_over.load(std::memory_order_relaxed)) {}  // publishes nothing
                  }};
  others.begin();
  const Repeated calls = repeat(run.budget() * 2, [&] { server.call(increment); });
  is_over.store(true, std::memory_order_relaxed);  // publishes nothing
  Run::expect(server.call(value) == calls.count, "the calls beside busy threads");
  run.print("call_busy_" + std::to_string(busy), calls.mean, "ns");
}

/// As many clients: the calls that the server has handled in the time between two looks at it.
template <class Peer>
void call_many(const Run& run, std::size_t clients) {
  struct Look {
    Count handled;
    Clock::time_point when;
  };
  const auto look = [](Count& n) { return Look{n, Clock::now()}; };
  Counter<Peer> server{0U};
  std::atomic<bool> is_over{false};
  std::vector<Count> sent(clients);
  Together all{clients, [&](std::size_t client) {
                 Count calls = 0;
                 for (; !is_over.load(std::memory_order_relaxed); ++calls) {  // publishes nothing
                   server.call(increment);
                 }
                 sent[client] = calls;
               }};
  all.begin();
  std::this_thread::sleep_for(run.budget() / 4);
  const Look first = server.call(look);
  std::this_thread::sleep_for(run.budget());
  const Look last = server.call(look);
  is_over.store(true, std::memory_order_relaxed);  // publishes nothing
  all.join();

  Count total = 0;
  for (const Count calls : sent) total += calls;
  Run::expect(server.call(value) == total, "the calls of many clients");
  const std::chrono::duration<double, std::milli> between = last.when - first.when;
  run.print("call_" + std::to_string(clients),
            static_cast<double>(last.handled - first.handled) / between.count(), "k/s");
}

/// From a handler of one server to another server.
template <class Peer>
void call_nested(const Run& run) {
  Counter<Peer> outer{0U};
  Counter<Peer> inner{0U};
  const Repeated calls =
      outer.call([&](Count&) { return repeat(run.budget(), [&] { inner.call(increment); }); });
  Run::expect(inner.call(value) == calls.count, "the calls of another server");
  run.print("call_nested", calls.median, "ns");
}

/// Casts of as many producers, until the server has handled them all.
template <class Peer>
void cast_many(const Run& run, std::size_t producers) {
  Counter<Peer> server{0U};
  const Count each = run.scaled(512 * 1024) / producers + 1;
  Count sent = 0;
  const double took = median_of(run.budget(), [&] {
    Together all{producers, [&](std::size_t) {
                   for (Count i = 0; i < each; ++i) server.cast(add_one);
                 }};
    const auto began = Clock::now();
    all.begin();
    all.join();
    const Count handled = server.call(value);
    const double nanoseconds = elapsed_since(began);
    sent += each * producers;
    Run::expect(handled == sent, "the casts of all producers");
    return nanoseconds / static_cast<double>(each * producers);
  });
  run.print("cast_" + std::to_string(producers), 1000 / took, "M/s");
}

/// What a cast costs its producer if the server sleeps.
template <class Peer>
void cast_asleep(const Run& run) {
  Counter<Peer> server{0U};
  std::vector<double> samples(run.scaled(200));
  for (double& sample : samples) {
    std::this_thread::sleep_for(std::chrono::microseconds{500});  // longer than any server spins
    const auto began = Clock::now();
    server.cast(add_one);
    sample = elapsed_since(began);
  }
  Run::expect(server.call(value) == samples.size(), "the casts to a sleeping server");
  run.print("cast_asleep", median(samples), "ns");
}

/// A server that hands a token on to the next one.
template <class Peer>
struct Hop {
  using Server = typename Peer::template Server<Hop>;

  /// Handles a token that has so many hops left.
  void take(std::size_t left) {
    ++taken;
    if (left == 0) {
      finished->count_down();
    } else {
      next->cast([left](Hop& hop) { hop.take(left - 1); });
    }
  }

  Server* next = nullptr;
  std::latch* finished = nullptr;
  Count taken = 0;
};

/// A token that goes round: ping-pong with two servers, a thread ring with many.
template <class Peer>
double hop_time(const Run& run, std::size_t size) {
  using Server = typename Hop<Peer>::Server;
  std::vector<std::unique_ptr<std::latch>> finishes;  // they outlive the servers
  std::vector<std::unique_ptr<Server>> ring(size);
  for (auto& server : ring) server = std::make_unique<Server>();
  for (std::size_t i = 0; i < size; ++i) {
    ring[i]->call([next = ring[(i + 1) % size].get()](Hop<Peer>& hop) { hop.next = next; });
  }
  const std::size_t hops = run.scaled(10'000);
  Count rounds = 0;
  const double took = median_of(run.budget(), [&] {
    std::latch& finished = *finishes.emplace_back(std::make_unique<std::latch>(1));
    for (auto& server : ring) server->call([&](Hop<Peer>& hop) { hop.finished = &finished; });
    const auto began = Clock::now();
    ring[0]->cast([hops](Hop<Peer>& hop) { hop.take(hops); });
    finished.wait();
    ++rounds;
    return elapsed_since(began) / static_cast<double>(hops + 1);
  });
  Count taken = 0;
  for (auto& server : ring) taken += server->call([](Hop<Peer>& hop) { return hop.taken; });
  Run::expect(taken == rounds * (hops + 1), "the hops of a token");
  return took;
}

template <class Peer>
void ping_pong(const Run& run) {
  run.print("ping_pong", hop_time<Peer>(run, 2), "ns");
}

template <class Peer>
void thread_ring(const Run& run) {
  run.print("thread_ring", hop_time<Peer>(run, 503), "ns");
}

/// Start, one call, and stop.
template <class Peer>
void spawn(const Run& run) {
  const Repeated servers = repeat(run.budget(), [] {
    Counter<Peer> server{41U};
    Run::expect(server.call(increment) == 42, "the call of a new server");
  });
  run.print("spawn", servers.median / 1000, "us");
}

/// Makes servers that have been called once.
template <class Peer>
std::vector<std::unique_ptr<Counter<Peer>>> idle_servers(std::size_t count) {
  std::vector<std::unique_ptr<Counter<Peer>>> servers(count);
  for (auto& server : servers) {
    server = std::make_unique<Counter<Peer>>(0U);
    server->call(add_one);
  }
  return servers;
}

/// What an idle server takes, in this process and in the kernel.
template <class Peer>
void memory(const Run& run, std::size_t count) {
  idle_servers<Peer>(1);
  const std::size_t made = run.scaled(count);
  const double resident = resident_bytes();
  const double kernel = kernel_bytes();
  const auto servers = idle_servers<Peer>(made);
  std::this_thread::sleep_for(run.budget() / 4);  // they fall asleep
  const auto each = [&](double bytes) { return bytes / static_cast<double>(made); };
  run.print("memory_" + std::to_string(count), each(resident_bytes() - resident), "bytes");
  run.print("kernel_" + std::to_string(count), each(kernel_bytes() - kernel), "bytes");
}

/// What 1 000 idle servers take of a processor, in millionths of its time.
template <class Peer>
void idle_processor(const Run& run) {
  const auto servers = idle_servers<Peer>(run.scaled(1'000));
  std::this_thread::sleep_for(run.budget());  // they fall asleep
  const double before = processor_time();
  std::this_thread::sleep_for(run.budget() / 20);
  const double used = processor_time();  // to sleep and look takes time, too, which does not count
  const auto began = Clock::now();
  std::this_thread::sleep_for(run.budget() * 10);
  const double idle = processor_time() - used - (used - before);
  run.print("idle_processor", idle / elapsed_since(began) * 1e9, "ppm");
}

/// What is allocated for each call, cast and async_call, once the server is warm.
template <class Peer>
void allocations(const Run& run) {
  const std::size_t count = run.scaled(20'000);
  const auto print = [&](const char* measure, auto&& operation) {
    Counter<Peer> server{0U};
    const auto all = [&] {
      for (std::size_t i = 0; i < count; ++i) operation(server);
      return server.call(value);
    };
    all();
    const Allocations allocations;
    Run::expect(all() == count * 2, "what is sent while allocations are counted");
    run.print(measure, allocations.count() / static_cast<double>(count), "allocations");
  };
  print("allocations_call", [](auto& server) { server.call(increment); });
  if constexpr (Peer::is_queued) {
    print("allocations_cast", [](auto& server) { server.cast(add_one); });
  }
  if constexpr (requires(Counter<Peer>& server) { server.async_call(increment); }) {
    print("allocations_async", [](auto& server) { server.async_call(increment).get(); });
  }
}

/// Returns the peer and its measures, and those that only it has.
template <class Made>
PeerMeasures peer(std::vector<Measure> own = {}) {
  std::vector<Measure> measures{
      {"call_1", call_1<Made>},
      {"call_4", [](const Run& run) { call_many<Made>(run, 4); }},
      {"call_16", [](const Run& run) { call_many<Made>(run, 16); }},
      {"call_busy_2", [](const Run& run) { call_busy<Made>(run, 2); }},
      {"call_busy_4", [](const Run& run) { call_busy<Made>(run, 4); }},
      {"call_nested", call_nested<Made>},
      {"allocations", allocations<Made>},
  };
  if constexpr (Made::is_queued) {
    const std::vector<Measure> queued{
        {"cast_1", [](const Run& run) { cast_many<Made>(run, 1); }},
        {"cast_4", [](const Run& run) { cast_many<Made>(run, 4); }},
        {"cast_16", [](const Run& run) { cast_many<Made>(run, 16); }},
        {"cast_asleep", cast_asleep<Made>},
        {"ping_pong", ping_pong<Made>},
        {"thread_ring", thread_ring<Made>},
        {"spawn", spawn<Made>},
        {"memory_1000", [](const Run& run) { memory<Made>(run, 1'000); }},
        {"memory_10000", [](const Run& run) { memory<Made>(run, 10'000); }},
        {"idle_processor", idle_processor<Made>},
    };
    measures.insert(measures.end(), queued.begin(), queued.end());
  }
  measures.insert(measures.end(), own.begin(), own.end());
  return {Made::name, std::move(measures)};
}

}  // namespace bench
