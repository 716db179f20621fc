// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/platform/dwarf.hpp>

#include <genserver/sync/backtrace.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

using genserver::Frame;
using genserver::StackTrace;

namespace {

// Keeps a call from becoming a jump, so that its function stays on the stack.
inline void stay_on_stack() { asm volatile("" ::: "memory"); }

// Where the calls below are.
struct CallLines {
  unsigned take = 0;
  unsigned inlined = 0;
  unsigned compiled = 0;
};

__attribute__((noinline)) void dwarf_test_take(StackTrace& trace, CallLines& lines) {
  lines.take = __LINE__ + 1;
  trace = genserver::backtrace();
  stay_on_stack();
}

__attribute__((always_inline)) inline void dwarf_test_inlined(StackTrace& trace, CallLines& lines) {
  lines.inlined = __LINE__ + 1;
  dwarf_test_take(trace, lines);
  stay_on_stack();
}

__attribute__((noinline)) void dwarf_test_compiled(StackTrace& trace, CallLines& lines) {
  lines.compiled = __LINE__ + 1;
  dwarf_test_inlined(trace, lines);
  stay_on_stack();
}

const Frame& frame_of(const StackTrace& trace, std::string_view name) {
  static const Frame none;
  const auto has_name = [name](const Frame& frame) {
    return frame.function.find(name) != std::string_view::npos;
  };
  const auto found = std::find_if(trace.frames.begin(), trace.frames.end(), has_name);
  return found == trace.frames.end() ? none : *found;
}

std::ptrdiff_t place_of(const StackTrace& trace, std::string_view name) {
  return &frame_of(trace, name) - trace.frames.data();
}

}  // namespace

TEST_CASE("a frame has the file and line of its call", "[sync][dwarf]") {
  StackTrace trace;
  CallLines lines;
  dwarf_test_compiled(trace, lines);

  const Frame& taking = frame_of(trace, "dwarf_test_take");

  CHECK(taking.file.ends_with("sync/dwarf.cpp"));
  CHECK(taking.line == lines.take);
  CHECK(!taking.is_inlined);
}

TEST_CASE("an inlined function has a frame of its own", "[sync][dwarf]") {
  StackTrace trace;
  CallLines lines;
  dwarf_test_compiled(trace, lines);

  const Frame& inlined = frame_of(trace, "dwarf_test_inlined");
  const Frame& compiled = frame_of(trace, "dwarf_test_compiled");

  CHECK(inlined.is_inlined);
  CHECK(inlined.line == lines.inlined);
  CHECK(!compiled.is_inlined);
  CHECK(compiled.line == lines.compiled);
  CHECK(compiled.file.ends_with("sync/dwarf.cpp"));
  CHECK(inlined.address == compiled.address);
}

TEST_CASE("an inlined function comes before the one it is in", "[sync][dwarf]") {
  StackTrace trace;
  CallLines lines;
  dwarf_test_compiled(trace, lines);

  CHECK(place_of(trace, "dwarf_test_take") < place_of(trace, "dwarf_test_inlined"));
  CHECK(place_of(trace, "dwarf_test_inlined") < place_of(trace, "dwarf_test_compiled"));
}

TEST_CASE("frames of system libraries need no lines", "[sync][dwarf]") {
  StackTrace trace;
  CallLines lines;
  dwarf_test_compiled(trace, lines);

  CHECK(trace.note.find("no line numbers") == std::string_view::npos);
}

TEST_CASE("a file without debug information has frames without lines", "[sync][dwarf]") {
  genserver::platform::Dwarf dwarf{genserver::platform::ElfFile{"/no/such/file"}};
  std::vector<Frame> frames;
  Frame frame;
  frame.function = "known already";

  dwarf.append(frame, frames);

  CHECK(dwarf.is_empty());
  REQUIRE(frames.size() == 1);
  CHECK(frames.front().function == "known already");
  CHECK(frames.front().line == 0);
}
