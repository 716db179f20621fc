// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/trace_drawing.hpp>

#include <support/catch.hpp>
#include <support/trace_file.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using genserver::Pid;
using genserver::TraceDrawing;
using genserver::TraceEntry;
using genserver::TraceEvent;

namespace {

using Kind = TraceEvent::Kind;
using Strings = std::vector<std::string>;

/// What one thread does: 1 and 2 are users', 11 runs server 1, "orders", and 12 runs 2, "stock".
/// Times are in us.
struct Happening {
  Kind kind;
  int time;
  std::uint32_t thread;
  std::uint64_t server;
  std::uint64_t message;
  std::uint64_t sender = 0;
  bool has_failed = false;
};

TraceFile drawn(const std::vector<Happening>& happenings) {
  std::vector<TraceEntry> entries;
  for (const Happening& happening : happenings) {
    TraceEntry entry;
    entry.kind = happening.kind;
    entry.time = std::chrono::microseconds{happening.time};
    entry.thread = happening.thread;
    entry.server = Pid{happening.server};
    entry.sender = Pid{happening.sender};
    entry.message = happening.message;
    entry.has_failed = happening.has_failed;
    entry.site = {"shop/main.cpp", "buy", 7};
    entries.push_back(entry);
  }
  std::string text;
  TraceDrawing{entries, {{Pid{1}, "orders"}, {Pid{2}, "stock"}}}.draw(
      [&](std::string_view part) { text += part; }, 3);
  return TraceFile{text};
}

/// Returns "track: name [begin, end] us" of each slice.
Strings slices(const TraceFile& file, const std::string& category = {}) {
  Strings all;
  for (const auto& slice : file.slices(category)) {
    all.push_back(slice.track + ": " + slice.name + " [" + std::to_string(slice.begin / 1000) +
                  ", " + std::to_string(slice.end / 1000) + "]");
  }
  return all;
}

}  // namespace

TEST_CASE("no events are a valid file, which tells how many are missing", "[core][trace_drawing]") {
  const TraceFile file = drawn({});

  CHECK(file.events().size() == 1);
  CHECK(file.events()[0]["args"]["name"].text() == "genserver");
  CHECK(file.dropped() == 3);
}

TEST_CASE("a handler is a slice with an arrow from its sender", "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::sent, 10, 1, 1, 0xA},
                                {Kind::received, 30, 11, 1, 0xA},
                                {Kind::handled, 70, 11, 1, 0xA}});

  CHECK(file.faults().empty());
  CHECK(slices(file) == Strings{"thread 1: send to orders:1 [10, 11]",
                                "orders:1: buy (main.cpp:7) [30, 70]"});
  CHECK(file.arrows("message") == "s thread 1, f orders:1");
  const JsonValue handler = file.slices("handler").front().event["args"];
  CHECK(handler["message"].text() == "0xa");
  CHECK(handler["sender"].text() == "thread 1");
  CHECK(handler["waited_us"].number() == 20);
  CHECK(handler["failed"].text() == "false");
}

TEST_CASE("a call lasts on its caller's track until it is answered", "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::received, 10, 11, 1, 0xA},
                                {Kind::sent, 20, 11, 2, 0xB, 1},
                                {Kind::received, 30, 12, 2, 0xB, 1},
                                {Kind::replied, 40, 12, 2, 0xB, 1},
                                {Kind::handled, 41, 12, 2, 0xB, 1},
                                {Kind::handled, 90, 11, 1, 0xA}});

  CHECK(file.faults().empty());
  CHECK(slices(file) == Strings{"orders:1: buy (main.cpp:7) [10, 90]",
                                "orders:1: call stock:2 [20, 41]",
                                "stock:2: buy (main.cpp:7) [30, 41]"});
  CHECK(file.arrows("message") == "s orders:1, f stock:2");
  CHECK(file.arrows("reply").empty());
}

TEST_CASE("a handler has failed if it threw, for its caller or for nobody",
          "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::received, 20, 11, 1, 0xA},
                                {Kind::handled, 30, 11, 1, 0xA, 0, true},
                                {Kind::received, 40, 12, 2, 0xB},
                                {Kind::replied, 45, 12, 2, 0xB, 0, true},
                                {Kind::handled, 50, 12, 2, 0xB}});

  const auto handlers = file.slices("handler");
  REQUIRE(handlers.size() == 2);
  CHECK(handlers[0].event["args"]["failed"].text() == "true");
  CHECK(handlers[1].event["args"]["failed"].text() == "true");
}

TEST_CASE("who does something else before the answer does not wait", "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::sent, 10, 1, 1, 0xA},
                                {Kind::sent, 20, 1, 1, 0xB},
                                {Kind::received, 30, 11, 1, 0xA},
                                {Kind::replied, 40, 11, 1, 0xA},
                                {Kind::handled, 41, 11, 1, 0xA},
                                {Kind::received, 50, 11, 1, 0xB},
                                {Kind::replied, 60, 11, 1, 0xB},
                                {Kind::handled, 61, 11, 1, 0xB}});

  CHECK(file.faults().empty());
  CHECK(slices(file, "send") == Strings{"thread 1: send to orders:1 [10, 11]"});
  CHECK(slices(file, "call") == Strings{"thread 1: call orders:1 [20, 61]"});
}

TEST_CASE("a call that its caller runs itself lasts as long as the handler",
          "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::sent, 10, 1, 1, 0xA},
                                {Kind::received, 20, 1, 1, 0xA},
                                {Kind::sent, 30, 1, 2, 0xB, 1},
                                {Kind::received, 40, 1, 2, 0xB, 1},
                                {Kind::replied, 50, 1, 2, 0xB, 1},
                                {Kind::handled, 60, 1, 2, 0xB, 1},
                                {Kind::replied, 70, 1, 1, 0xA},
                                {Kind::handled, 80, 1, 1, 0xA}});

  CHECK(file.faults().empty());
  CHECK(slices(file, "call") == Strings{"thread 1: call orders:1 [10, 80]",
                                        "orders:1: call stock:2 [30, 60]"});
  CHECK(slices(file, "reply").empty());
}

TEST_CASE("a late answer has an arrow back to who waits for it", "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::sent, 10, 1, 1, 0xA},
                                {Kind::received, 20, 11, 1, 0xA},
                                {Kind::handled, 30, 11, 1, 0xA},
                                {Kind::received, 40, 12, 2, 0xB},
                                {Kind::replied, 50, 12, 1, 0xA, 0, true},
                                {Kind::handled, 60, 12, 2, 0xB}});

  CHECK(file.faults().empty());
  CHECK(slices(file, "reply") == Strings{"stock:2: reply to thread 1 [50, 51]"});
  CHECK(slices(file, "call") == Strings{"thread 1: call orders:1 [10, 51]"});
  CHECK(file.arrows("reply") == "s stock:2, f thread 1");
  CHECK(file.slices("reply").front().event["args"]["failed"].text() == "true");
}

TEST_CASE("a late answer for which nobody waits has no arrow", "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::sent, 10, 1, 1, 0xA},
                                {Kind::received, 20, 11, 1, 0xA},
                                {Kind::handled, 30, 11, 1, 0xA},
                                {Kind::sent, 35, 1, 2, 0xB},
                                {Kind::replied, 50, 2, 1, 0xA}});

  CHECK(file.faults().empty());
  CHECK(slices(file, "reply") == Strings{"thread 2: reply to thread 1 [50, 51]"});
  CHECK(file.arrows("reply").empty());
}

TEST_CASE("a handler that is still running ends with the recording", "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::sent, 10, 1, 1, 0xA},
                                {Kind::received, 20, 11, 1, 0xA},
                                {Kind::sent, 80, 1, 1, 0xB}});

  CHECK(file.faults().empty());
  CHECK(slices(file, "handler") == Strings{"orders:1: buy (main.cpp:7) [20, 80]"});
  CHECK(file.arrows("message") == "s thread 1, f orders:1");
}

TEST_CASE("a handler that was already running begins with the recording", "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::sent, 10, 1, 2, 0xB},
                                {Kind::sent, 20, 11, 2, 0xC, 1},
                                {Kind::handled, 30, 11, 1, 0xA, 2, true}});

  CHECK(file.faults().empty());
  CHECK(slices(file, "handler") == Strings{"orders:1: buy (main.cpp:7) [10, 30]"});
  const JsonValue handler = file.slices("handler").front().event["args"];
  CHECK(handler["sender"].text() == "stock:2");
  CHECK(handler["failed"].text() == "true");
  CHECK_FALSE(handler.has("waited_us"));
}

TEST_CASE("a handler of whose end nothing was heard ends when the next begins",
          "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::received, 10, 11, 1, 0xA},
                                {Kind::received, 20, 11, 1, 0xB},
                                {Kind::handled, 30, 11, 1, 0xB},
                                {Kind::received, 40, 11, 1, 0xC},
                                {Kind::handled, 50, 11, 1, 0xD}});

  CHECK(file.faults().empty());
  CHECK(slices(file) == Strings{"orders:1: buy (main.cpp:7) [10, 20]",
                                "orders:1: buy (main.cpp:7) [20, 30]",
                                "orders:1: buy (main.cpp:7) [40, 50]",
                                "orders:1: buy (main.cpp:7) [50, 50]"});
}

TEST_CASE("an arrow leads through every try of a call that waits for its guard",
          "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::sent, 10, 1, 1, 0xA},
                                {Kind::received, 20, 11, 1, 0xA},
                                {Kind::handled, 30, 11, 1, 0xA},
                                {Kind::received, 40, 11, 1, 0xA},
                                {Kind::replied, 45, 11, 1, 0xA},
                                {Kind::handled, 50, 11, 1, 0xA}});

  CHECK(file.faults().empty());
  CHECK(file.arrows("message") == "s thread 1, t orders:1, f orders:1");
  CHECK(slices(file, "call") == Strings{"thread 1: call orders:1 [10, 46]"});
}

TEST_CASE("what was refused has no arrow", "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::sent, 10, 1, 1, 0xA}});

  CHECK(file.faults().empty());
  CHECK(slices(file) == Strings{"thread 1: send to orders:1 [10, 11]"});
  CHECK(file.arrows("message").empty());
}

TEST_CASE("an event that came twice is drawn once, and out of order in its place",
          "[core][trace_drawing]") {
  const TraceFile file = drawn({{Kind::received, 30, 11, 1, 0xA},
                                {Kind::received, 30, 11, 1, 0xA},
                                {Kind::sent, 10, 1, 1, 0xA},
                                {Kind::handled, 70, 11, 1, 0xA}});

  CHECK(file.faults().empty());
  CHECK(file.slices().size() == 2);
  CHECK(file.arrows("message") == "s thread 1, f orders:1");
}

TEST_CASE("what is sent in quick succession lies side by side", "[core][trace_drawing]") {
  std::vector<Happening> happenings;
  for (std::uint64_t message = 1; message <= 5; ++message) {
    happenings.push_back({Kind::sent, 10, 1, 1, message});
  }

  CHECK(drawn(happenings).faults().empty());
}
