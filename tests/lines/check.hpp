// SPDX-License-Identifier: BSL-1.0
// What a program expects to find on its own stack.
#pragma once

struct ExpectedFrame {
  const char* function;  // part of its name
  unsigned line;
  bool is_inlined;
};

// Takes the calling thread's backtrace, looks for the frames in this order, innermost first, and
// prints how many were found, how many of them with `file` and their line, and the trace's note.
void check_backtrace(const ExpectedFrame* first, const ExpectedFrame* last, const char* file);
