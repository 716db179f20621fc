// SPDX-License-Identifier: BSL-1.0
// Where in the user's program a request was made.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace genserver::inline v0 {

/// Names the line that made a request; the last, defaulted argument of every sending function.
///
/// Reports, timeouts and errors show it, so that a person finds the line without a debugger, also
/// when the program has no debug information. The strings live as long as the program.
struct CallSite {
  const char* file = "";
  const char* function = "";
  unsigned line = 0;

  /// Returns the place where it is called; as a default argument, the place of the outer call.
  static constexpr CallSite here(const char* file = __builtin_FILE(),
                                 const char* function = __builtin_FUNCTION(),
                                 unsigned line = __builtin_LINE()) noexcept {
    return {file, function, line};
  }

  /// Returns the file's name without its folders.
  [[nodiscard]] constexpr std::string_view file_name() const noexcept {
    const std::string_view path{file};
    return path.substr(path.find_last_of("/\\") + 1);  // npos + 1 is 0: no folder
  }

  friend constexpr bool operator==(const CallSite& a, const CallSite& b) noexcept {
    return a.line == b.line && std::string_view{a.file} == b.file &&
           std::string_view{a.function} == b.function;
  }
};

/// Returns "file:line in function".
inline std::string to_string(const CallSite& site) {
  if (site.line == 0) return "an unknown place";
  return fmt::format("{}:{} in {}", site.file_name(), site.line, site.function);
}

}  // namespace genserver::v0
