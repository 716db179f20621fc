// SPDX-License-Identifier: BSL-1.0
// The standard error stream, below the locks of the C library.
#pragma once

#include <cstdio>
#include <string_view>

#if defined(__unix__) || defined(__APPLE__)
#include <cerrno>
#include <unistd.h>
#endif

namespace genserver::inline v0 {

/// Writes to the process' standard error at once; what cannot be written is lost.
///
/// Not by way of stdio: a thread that hangs in it holds the stream's lock, and who is to report
/// that would hang as well.
///
/// Blocks: while whoever reads there does not.
inline void write_to_standard_error(std::string_view text) noexcept {
#if defined(__unix__) || defined(__APPLE__)
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
#else
  std::fwrite(text.data(), 1, text.size(), stderr);
#endif
}

}  // namespace genserver::v0
