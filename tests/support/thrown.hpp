// SPDX-License-Identifier: BSL-1.0
// Looks at the exception that something throws.
#pragma once

#include <optional>
#include <string>

/// Returns what `action` throws, or nothing if it throws nothing.
template <class Thrown, class Action>
std::optional<Thrown> thrown(Action&& action) {
  try {
    action();
  } catch (const Thrown& error) {
    return error;
  }
  return std::nullopt;
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
