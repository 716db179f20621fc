// SPDX-License-Identifier: BSL-1.0
// The writer of a JSON text.
#pragma once

#include <fmt/core.h>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

namespace detail {

template <class Value>
concept JsonInteger = std::integral<Value> && !std::same_as<Value, bool> &&
                      !std::same_as<Value, char> && sizeof(Value) <= 8;

}  // namespace detail

/// Builds one JSON text (RFC 8259) on one line, piece by piece in the order of the text.
///
/// It sets the commas; that begins and ends match, and that an object's values follow their keys,
/// is up to the caller. The text is valid UTF-8 whatever the strings hold: each byte that is part
/// of no character becomes U+FFFD.
///
/// Integers are written as numbers with all their digits. Readers that hold numbers in a double
/// lose the last ones above 2^53; pids never come near.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  /// Begins a member of the object; its value is what is written next.
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view{text}); }
  /// Only a bool: what merely converts to one, such as a pointer, is none.
  template <std::same_as<bool> Value>
  JsonWriter& value(Value is_so) {
    return put(is_so ? "true" : "false");
  }
  template <detail::JsonInteger Value>
  JsonWriter& value(Value number);
  /// Writes the shortest digits that read back as `number`; infinity and NaN, which JSON lacks,
  /// become null.
  template <std::floating_point Value>
  JsonWriter& value(Value number);
  JsonWriter& null() { return put("null"); }

  /// Writes a key and its value.
  template <class Value>
  JsonWriter& member(std::string_view name, const Value& its_value) {
    return key(name).value(its_value);
  }

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  /// Returns the text and is empty again, ready for another.
  [[nodiscard]] std::string take();

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& put(std::string_view token);
  void separate();
  void quote(std::string_view text);

  std::string text_{};
  bool needs_comma_ = false;  // whether a value ends text_, in the innermost object or array
};

namespace detail {

// How many bytes the UTF-8 character at the start of `text` takes, or 0 if none starts there
// (Unicode standard, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF).
inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [text](std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
  };
  const auto follows = [&byte](std::size_t at, unsigned low, unsigned high) {
    return byte(at) >= low && byte(at) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool is_valid = follows(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
    return is_valid && follows(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first < 0xF0 || first > 0xF4) return 0;
  const bool is_valid = follows(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
  return is_valid && follows(2, 0x80, 0xBF) && follows(3, 0x80, 0xBF) ? 4 : 0;
}

// Appends an ASCII character as it is written between quotes.
inline void append_json_character(std::string& text, char sign) {
  switch (sign) {
    case '"': text += "\\\""; return;
    case '\\': text += "\\\\"; return;
    case '\n': text += "\\n"; return;
    case '\r': text += "\\r"; return;
    case '\t': text += "\\t"; return;
    default: break;
  }
  const auto number = static_cast<unsigned char>(sign);
  if (number < 0x20) {
    text += fmt::format("\\u{:04x}", number);
  } else {
    text += sign;
  }
}

}  // namespace detail

inline JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  quote(name);
  text_ += ':';
  needs_comma_ = false;
  return *this;
}

inline JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  quote(text);
  needs_comma_ = true;
  return *this;
}

template <detail::JsonInteger Value>
JsonWriter& JsonWriter::value(Value number) {
  if constexpr (std::is_signed_v<Value>) {
    return put(fmt::format("{}", static_cast<long long>(number)));
  } else {
    return put(fmt::format("{}", static_cast<unsigned long long>(number)));
  }
}

template <std::floating_point Value>
JsonWriter& JsonWriter::value(Value number) {
  if (!std::isfinite(number)) return null();
  return put(fmt::format("{}", number));
}

inline std::string JsonWriter::take() {
  needs_comma_ = false;
  return std::exchange(text_, {});
}

inline JsonWriter& JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
  needs_comma_ = false;
  return *this;
}

inline JsonWriter& JsonWriter::close(char bracket) {
  text_ += bracket;
  needs_comma_ = true;
  return *this;
}

inline JsonWriter& JsonWriter::put(std::string_view token) {
  separate();
  text_ += token;
  needs_comma_ = true;
  return *this;
}

inline void JsonWriter::separate() {
  if (needs_comma_) text_ += ',';
}

inline void JsonWriter::quote(std::string_view text) {
  text_ += '"';
  while (!text.empty()) {
    const std::size_t length = detail::utf8_length(text);
    if (length == 0) {
      text_ += "\xEF\xBF\xBD";  // U+FFFD
    } else if (length == 1) {
      detail::append_json_character(text_, text[0]);
    } else {
      text_ += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  text_ += '"';
}

}  // namespace genserver::v0
