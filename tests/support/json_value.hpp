// SPDX-License-Identifier: BSL-1.0
// A JSON text, read strictly.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// One value of a JSON text. The texts of strings are as they were written, escapes included.
///
/// Throws: std::runtime_error from the constructor if the text is not what RFC 8259 allows, blanks
///         between values included; std::out_of_range for a member that is not there.
class JsonValue {
 public:
  explicit JsonValue(std::string_view text) {
    read(text);
    skip_blanks(text);
    if (!text.empty()) fail("something follows", text);
  }

  [[nodiscard]] const JsonValue& operator[](const std::string& name) const {
    return members_.at(name);
  }
  [[nodiscard]] bool has(const std::string& name) const { return members_.contains(name); }
  [[nodiscard]] const std::vector<JsonValue>& items() const { return items_; }
  /// Returns a string, or a word such as true.
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] double number() const { return number_; }

 private:
  JsonValue() = default;

  [[noreturn]] static void fail(const std::string& what, std::string_view rest) {
    throw std::runtime_error{what + " at: " + std::string{rest.substr(0, 40)}};
  }
  static void skip_blanks(std::string_view& rest) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
  }
  static bool take(std::string_view& rest, std::string_view token) {
    skip_blanks(rest);
    if (!rest.starts_with(token)) return false;
    rest.remove_prefix(token.size());
    return true;
  }

  void read(std::string_view& rest) {
    if (take(rest, "{")) return read_members(rest);
    if (take(rest, "[")) return read_items(rest);
    if (take(rest, "\"")) return void(text_ = string(rest));
    for (const char* const word : {"true", "false", "null"}) {
      if (take(rest, word)) return void(text_ = word);
    }
    read_number(rest);
  }

  void read_members(std::string_view& rest) {
    if (take(rest, "}")) return;
    do {
      if (!take(rest, "\"")) fail("no name", rest);
      const std::string name = string(rest);
      if (!take(rest, ":")) fail("no colon", rest);
      JsonValue value;
      value.read(rest);
      if (!members_.emplace(name, value).second) fail("the name again: " + name, rest);
    } while (take(rest, ","));
    if (!take(rest, "}")) fail("no end of an object", rest);
  }

  void read_items(std::string_view& rest) {
    if (take(rest, "]")) return;
    do {
      items_.push_back(JsonValue{});
      items_.back().read(rest);
    } while (take(rest, ","));
    if (!take(rest, "]")) fail("no end of an array", rest);
  }

  static std::string string(std::string_view& rest) {
    std::size_t end = 0;
    for (; end < rest.size() && rest[end] != '"'; ++end) {
      if (static_cast<unsigned char>(rest[end]) < 0x20) fail("a control character", rest);
      if (rest[end] != '\\') continue;
      ++end;
      if (std::string_view{"\"\\/bfnrtu"}.find(rest.substr(end, 1)) == std::string_view::npos) {
        fail("no such escape", rest);
      }
    }
    if (end >= rest.size()) fail("no end of a string", rest);
    const std::string text{rest.substr(0, end)};
    rest.remove_prefix(end + 1);
    return text;
  }

  void read_number(std::string_view& rest) {
    const std::size_t length = std::min(rest.find_first_not_of("0123456789.eE+-"), rest.size());
    const std::string digits{rest.substr(0, length)};
    std::size_t used = 0;
    if (length == 0 || digits[0] == '+' || digits[0] == '.') fail("no value", rest);
    number_ = std::stod(digits, &used);
    if (used != length || digits.back() == '.') fail("no number", rest);
    rest.remove_prefix(length);
  }

  std::map<std::string, JsonValue> members_{};
  std::vector<JsonValue> items_{};
  std::string text_{};
  double number_ = 0;
};
