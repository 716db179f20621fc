// SPDX-License-Identifier: BSL-1.0
// The name that a function has in the source.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include <cxxabi.h>

namespace genserver::platform {

/// Returns the name as it is in the source, or as it is if it is none of C++.
inline std::string demangled(std::string_view name) {
  std::string text{name};
  if (!text.starts_with("_Z")) return text;
  int status = 0;
  char* readable = abi::__cxa_demangle(text.c_str(), nullptr, nullptr, &status);
  if (readable == nullptr) return text;
  text = readable;
  std::free(readable);
  return text;
}

}  // namespace genserver::platform
