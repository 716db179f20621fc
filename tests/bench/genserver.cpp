// SPDX-License-Identifier: BSL-1.0
// Measures the library in both ways to run calls, its deadlock detection and its counters.
#include <bench/measures.hpp>
#include <bench/peers/genserver.hpp>

#include <genserver/base/message.hpp>
#include <genserver/core/server_meter.hpp>

#include <vector>

namespace {

using bench::Run;
using OnCaller = bench::Genserver<genserver::RunCalls::on_caller_when_idle>;

/// What a call from a handler costs beyond the same call from a thread that is no server: the edge
/// of the wait graph, and the look for a circle. Calls run on the caller here, so that waking and
/// waiting do not hide it.
void deadlock_detection(const Run& run) {
  bench::Counter<OnCaller> outer{0U};
  bench::Counter<OnCaller> inner{0U};
  const auto time_of_call = [&] {
    return bench::repeat(run.budget() / 20, [&] { inner.call(bench::increment); }).median;
  };
  std::vector<double> costs;
  for (std::size_t i = 0; i < 10; ++i) {
    const double outside = time_of_call();
    costs.push_back(outer.call([&](bench::Count&) { return time_of_call(); }) - outside);
  }
  run.print("deadlock_detection", bench::median(costs), "ns");
}

class Unsent final : public genserver::Message {
 public:
  Unsent() : Message{genserver::CallSite::here()} {}
  void run(void*) override {}
  void refuse(const genserver::Refusal&) noexcept override {}
};

/// What the counters and clocks of one server cost per message, beside nothing else.
void counters(const Run& run) {
  genserver::ServerMeter meter;
  meter.reset();
  Unsent message;
  const bench::Repeated messages = bench::repeat(run.budget(), [&] {
    genserver::ServerMeter::stamp(message, false);
    const auto measured = meter.begin(message);
    meter.end(measured);
    meter.count_handled();
  });
  Run::expect(meter.counts().handled == messages.count, "the counter of handled messages");
  run.print("counters", messages.median, "ns");
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(
      argc, argv,
      {bench::peer<bench::Genserver<>>({{"counters", counters}}),
       bench::peer<OnCaller>({{"deadlock_detection", deadlock_detection}})});
}
