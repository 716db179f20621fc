// SPDX-License-Identifier: BSL-1.0
// Compares the own backtrace with what a program expects.
#include "check.hpp"

#include <genserver/sync/backtrace.hpp>

#include <cstddef>
#include <cstdio>
#include <string>

void check_backtrace(const ExpectedFrame* first, const ExpectedFrame* last, const char* file) {
  const genserver::StackTrace trace = genserver::backtrace();
  int found = 0;
  int with_line = 0;
  std::size_t at = 0;
  for (const ExpectedFrame* expected = first; expected != last; ++expected) {
    const auto fits = [expected](const genserver::Frame& frame) {
      return frame.is_inlined == expected->is_inlined &&
             frame.function.find(expected->function) != std::string::npos;
    };
    std::size_t place = at;
    while (place < trace.frames.size() && !fits(trace.frames[place])) ++place;
    if (place == trace.frames.size()) continue;
    at = place + 1;
    ++found;
    const genserver::Frame& frame = trace.frames[place];
    with_line += frame.line == expected->line && frame.file.ends_with(file) ? 1 : 0;
  }
  std::printf("%d functions, %d lines; %s\n", found, with_line, trace.note.c_str());
}
