// SPDX-License-Identifier: BSL-1.0
// The number that names one server for the life of the process.
#pragma once

#include <fmt/core.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace genserver::inline v0 {

/// Identifies a server; never used twice in a process. A default-made pid names no server.
///
/// Erlang: pid().
class Pid {
 public:
  constexpr Pid() noexcept = default;
  constexpr explicit Pid(std::uint64_t value) noexcept : value_{value} {}

  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }

  friend constexpr bool operator==(Pid, Pid) noexcept = default;
  friend constexpr std::strong_ordering operator<=>(Pid a, Pid b) noexcept {
    return a.value_ <=> b.value_;
  }

 private:
  std::uint64_t value_ = 0;
};

}  // namespace genserver::v0

template <>
struct std::hash<genserver::Pid> {
  std::size_t operator()(genserver::Pid pid) const noexcept {
    return std::hash<std::uint64_t>{}(pid.value());
  }
};

template <>
struct fmt::formatter<genserver::Pid> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(genserver::Pid pid, Context& context) const {
    auto out = context.out();
    for (const char c : std::to_string(pid.value())) *out++ = c;
    return out;
  }
};
