// SPDX-License-Identifier: BSL-1.0
// The name of a type as it is in the source.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace genserver::inline v0 {

namespace detail {

template <class T>
constexpr std::string_view signature_of() noexcept {
  return __PRETTY_FUNCTION__;
}

/// Calls `put(c)` for each character of a compiler's name, but for the version behind
/// `genserver::`, which nobody writes or wants to read.
template <class Put>
constexpr void put_without_version(std::string_view name, Put&& put) {
  constexpr std::string_view library = "genserver::";
  constexpr std::string_view version = "v0::";
  const auto is_part_of_name = [](char c) {
    return c == ':' || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
  };
  for (std::size_t i = 0; i < name.size();) {
    const bool is_library = (i == 0 || !is_part_of_name(name[i - 1])) &&
                            name.substr(i).starts_with(library) &&
                            name.substr(i + library.size()).starts_with(version);
    if (is_library) {
      for (const char c : library) put(c);
      i += library.size() + version.size();
    } else {
      put(name[i++]);
    }
  }
}

/// A text that the compiler makes.
template <std::size_t capacity>
struct FixedText {
  std::array<char, capacity> text{};
  std::size_t size = 0;
};

template <class T>
constexpr auto make_type_name() noexcept {
  // What surrounds the name in the signature is the same for every type: learned from `int`.
  constexpr std::string_view probe = signature_of<int>();
  constexpr std::size_t before = probe.find("int]") != std::string_view::npos
                                     ? probe.find("int]")
                                     : probe.find("int;");
  constexpr std::size_t after = probe.size() - before - 3;
  constexpr std::string_view signature = signature_of<T>();
  constexpr std::size_t size = signature.size() - before - after;
  FixedText<size> name;
  put_without_version(signature.substr(before, size), [&](char c) { name.text[name.size++] = c; });
  return name;
}

template <class T>
inline constexpr auto made_type_name = make_type_name<T>();

}  // namespace detail

/// Returns the name of `T`, as "int" or "app::Account"; works without RTTI.
template <class T>
constexpr std::string_view type_name() noexcept {
  return {detail::made_type_name<T>.text.data(), detail::made_type_name<T>.size};
}

}  // namespace genserver::v0
