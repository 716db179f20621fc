// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/trace_recorder.hpp>

#include <genserver/core/gen_server.hpp>
#include <genserver/core/trace.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/thrown.hpp>
#include <support/trace_file.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using genserver::GenServer;
using genserver::Reply;
using genserver::TraceEvent;
using genserver::TraceRecorder;
using genserver::TraceSink;
using genserver::trace;
using genserver::trace_all;

namespace {

const auto copy = [](int& n) { return n; };

void add(const TraceSink& sink, std::uint64_t message) {
  TraceEvent event;
  event.time = std::chrono::steady_clock::now();
  event.server = genserver::Pid{1};
  event.name = "stock";
  event.message = message;
  event.thread = 1;
  sink(event);
}

/// Records four threads that use three servers in every way, one of which runs on its callers.
void record_traffic(const TraceRecorder& recorder) {
  using Replies = std::vector<Reply<int>>;
  GenServer<Replies> stock{{.name = "stock"}};
  GenServer<int> prices{
      {.name = "prices", .run_calls = genserver::RunCalls::on_caller_when_idle}, 0};
  GenServer<int> orders{{.name = "orders"}, 0};
  trace_all(recorder.sink());
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        auto late = stock.async_call<int>([](Replies& replies, Reply<int> reply) {
          replies.push_back(std::move(reply));
        });
        orders.call([&](int& n) { n += prices.call(copy); });
        orders.cast([&](int&) { prices.cast([](int& n) { ++n; }); });
        stock.cast([](Replies& replies) {
          for (auto& reply : std::exchange(replies, {})) reply.reply(1);
        });
        late.get();
        orders.call_when([](const int&) { return true; }, copy);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("a recorder keeps what its sink is told", "[core][trace_recorder]") {
  const TraceRecorder recorder;
  GenServer<int> server{{.name = "stock"}, 0};
  trace(server, recorder.sink());

  server.call(copy);
  REQUIRE(eventually([&] { return recorder.size() == 4; }));

  const TraceFile file{recorder.json()};
  CHECK(file.faults().empty());
  CHECK(recorder.dropped() == 0);
  const auto calls = file.slices("call");
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].name == "call stock:" + std::to_string(server.pid().value()));
  CHECK(has(calls[0].event["args"]["at"].text(), "(trace_recorder.cpp:"));
}

TEST_CASE("a recorder keeps no more than it was told to, and counts the others",
          "[core][trace_recorder]") {
  const TraceRecorder recorder{2};
  const TraceSink sink = recorder.sink();

  for (std::uint64_t message = 1; message <= 5; ++message) add(sink, message);

  CHECK(recorder.size() == 2);
  CHECK(recorder.dropped() == 3);
  const TraceFile file{recorder.json()};
  CHECK(file.slices().size() == 2);
  CHECK(file.dropped() == 3);
}

TEST_CASE("a recorder forgets on demand", "[core][trace_recorder]") {
  TraceRecorder recorder{1};
  add(recorder.sink(), 1);
  add(recorder.sink(), 2);

  recorder.clear();
  CHECK(recorder.size() == 0);
  CHECK(recorder.dropped() == 0);
  add(recorder.sink(), 3);

  CHECK(recorder.size() == 1);
  CHECK(TraceFile{recorder.json()}.slices().at(0).event["args"]["message"].text() == "0x3");
}

TEST_CASE("a sink may be used when its recorder is gone", "[core][trace_recorder]") {
  std::optional<TraceRecorder> recorder{std::in_place};
  const TraceSink sink = recorder->sink();

  recorder.reset();

  CHECK_NOTHROW(add(sink, 1));
}

TEST_CASE("times are those since the recorder was made", "[core][trace_recorder]") {
  const auto before = std::chrono::steady_clock::now();
  const TraceRecorder recorder;
  add(recorder.sink(), 1);
  const auto most = std::chrono::nanoseconds{std::chrono::steady_clock::now() - before};

  const auto slice = TraceFile{recorder.json()}.slices().at(0);

  CHECK(slice.begin >= 0);
  CHECK(slice.begin <= most.count());
}

TEST_CASE("names are written so that they can be read", "[core][trace_recorder]") {
  const TraceRecorder recorder;
  GenServer<int> server{{.name = "\"a\\b\"\n\xFF"}, 0};
  trace(server, recorder.sink());

  server.call(copy);
  REQUIRE(eventually([&] { return recorder.size() == 4; }));

  CHECK(TraceFile{recorder.json()}.faults().empty());
}

TEST_CASE("a trace is written to a file", "[core][trace_recorder]") {
  const TraceRecorder recorder;
  add(recorder.sink(), 1);
  const std::string path = "trace_recorder_test.json";

  recorder.write(path);
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  std::remove(path.c_str());

  CHECK(text.str() == recorder.json());
}

TEST_CASE("a file that cannot be written is named, and why", "[core][trace_recorder]") {
  const TraceRecorder recorder;
  const std::string path = "no/such/folder/trace.json";

  const auto error = thrown<genserver::Error>([&] { recorder.write(path); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), path));
  CHECK(has(error->what(), "No such file or directory"));
}

TEST_CASE("a file for which there is no room is named, and why", "[core][trace_recorder]") {
  if (!std::ifstream{"/dev/full"}) return;  // only Linux has it
  const TraceRecorder recorder;

  const auto error = thrown<genserver::Error>([&] { recorder.write("/dev/full"); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "/dev/full"));
  CHECK(has(error->what(), "No space left on device"));
}

TEST_CASE("whatever servers and threads do, the file is valid", "[core][trace_recorder]") {
  const TraceRecorder recorder;
  record_traffic(recorder);
  trace_all({});

  const TraceFile file{recorder.json()};

  CHECK(file.faults().empty());
  CHECK(file.slices("handler").size() >= 4 * 50 * 7);
  CHECK(file.slices("call").size() >= 4 * 50 * 2);
  CHECK(file.slices("reply").size() == 4 * 50);
}

TEST_CASE("a file written in the midst of the recording is valid", "[core][trace_recorder]") {
  const TraceRecorder recorder{700};
  std::thread traffic{[&] { record_traffic(recorder); }};

  const bool is_full = eventually([&] { return recorder.dropped() > 0; });
  const TraceFile file{recorder.json()};
  traffic.join();
  trace_all({});

  CHECK(is_full);
  CHECK(file.faults().empty());
  CHECK(recorder.size() == 700);
}

TEST_CASE("a recording that begins in the midst of the work is valid", "[core][trace_recorder]") {
  TraceRecorder recorder;
  std::thread traffic{[&] { record_traffic(recorder); }};

  const bool has_begun = eventually([&] { return recorder.size() > 100; });
  recorder.clear();
  traffic.join();
  trace_all({});

  CHECK(has_begun);
  CHECK(TraceFile{recorder.json()}.faults().empty());
}
