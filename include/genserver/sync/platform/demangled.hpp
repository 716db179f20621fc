// SPDX-License-Identifier: BSL-1.0
// The name that a function has in the source.
#pragma once

#include <genserver/base/type_name.hpp>

#include <cstdlib>
#include <string>
#include <string_view>

#include <cxxabi.h>

namespace genserver::inline v0::platform {

/// Returns the name as it is in the source, or as it is if it is none of C++.
inline std::string demangled(std::string_view name) {
  std::string text{name};
  if (text.starts_with("_Z")) {
    int status = 0;
    char* const readable = abi::__cxa_demangle(text.c_str(), nullptr, nullptr, &status);
    if (readable != nullptr) text = readable;
    std::free(readable);
  }
  std::string shown;
  shown.reserve(text.size());
  genserver::detail::put_without_version(text, [&](char c) { shown += c; });
  return shown;
}

}  // namespace genserver::v0::platform
