// SPDX-License-Identifier: BSL-1.0
// The name of a type as the compiler prints it.
#pragma once

#include <string_view>

namespace genserver {

namespace detail {

template <class T>
constexpr std::string_view signature_of() noexcept {
  return __PRETTY_FUNCTION__;
}

}  // namespace detail

/// Returns the name of `T`, as "int" or "app::Account"; works without RTTI.
template <class T>
constexpr std::string_view type_name() noexcept {
  // What surrounds the name in the signature is the same for every type: learned from `int`.
  constexpr std::string_view probe = detail::signature_of<int>();
  constexpr std::size_t before = probe.find("int]") != std::string_view::npos
                                     ? probe.find("int]")
                                     : probe.find("int;");
  constexpr std::size_t after = probe.size() - before - 3;
  constexpr std::string_view signature = detail::signature_of<T>();
  return signature.substr(before, signature.size() - before - after);
}

}  // namespace genserver
