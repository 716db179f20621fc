// SPDX-License-Identifier: BSL-1.0
// A child made by fork().
#pragma once

#include <sys/wait.h>
#include <unistd.h>

// There if it is counted which lines run.
extern "C" [[gnu::weak]] void __gcov_dump();

/// Runs `body` in a child, and returns how that ends: the status that `body` returns, or less than
/// 0, a signal.
template <class Body>
int in_child(Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int result = body();
    if (&__gcov_dump != nullptr) __gcov_dump();
    ::_exit(result);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
