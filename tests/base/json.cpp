// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/json.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>

using genserver::JsonWriter;

namespace {

/// Says whether a text is one JSON value, as strict as RFC 8259 and without space around tokens.
class Checker {
 public:
  explicit Checker(std::string_view text) : rest_{text} {}
  bool is_valid() { return value() && rest_.empty(); }

 private:
  bool value() {
    if (rest_.starts_with('"')) return string();
    if (take("{")) return take("}") || items([this] { return member(); }, "}");
    if (take("[")) return take("]") || items([this] { return value(); }, "]");
    return take("true") || take("false") || take("null") || number();
  }
  template <class Item>
  bool items(Item item, std::string_view end) {
    do {
      if (!item()) return false;
    } while (take(","));
    return take(end);
  }
  bool member() { return string() && take(":") && value(); }
  bool number() {
    take("-");
    if (!take("0") && !digits()) return false;
    if (take(".") && !digits()) return false;
    if (!take("e")) return true;
    if (!take("+")) take("-");
    return digits();
  }
  bool digits() {
    const std::size_t end = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    rest_.remove_prefix(end);
    return end != 0;
  }
  bool string() {
    if (!take("\"")) return false;
    while (!rest_.empty() && !rest_.starts_with('"')) {
      if (static_cast<unsigned char>(rest_[0]) < 0x20) return false;
      if (take("\\") ? !escape() : !one_of(rest_)) return false;
    }
    return take("\"");
  }
  bool escape() {
    if (!take("u")) return one_of("\"\\/bfnrt");
    int left = 4;
    while (left > 0 && one_of("0123456789abcdefABCDEF")) --left;
    return left == 0;
  }
  bool one_of(std::string_view signs) {
    if (rest_.empty() || signs.find(rest_[0]) == signs.npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  std::string_view rest_;
};

bool is_json(std::string_view text) { return Checker{text}.is_valid(); }

// What the writer makes of one string.
std::string quoted(std::string_view text) { return JsonWriter{}.value(text).take(); }

}  // namespace

TEST_CASE("the checker of these tests tells JSON from what is none", "[base][json]") {
  CHECK(is_json(R"({"a":[1,-0.5,1e+20,true,null,"\u00e9\n"],"b":{}})"));
  for (const char* const text : {"", "{", "[1,]", "[1 2]", "01", "1.", "-", "nul", "\"a", "\"\\x\"",
                                 "{\"a\"}", "{1:2}", "\"\n\"", "[]]", "\"\\u12g4\""}) {
    CAPTURE(text);
    CHECK_FALSE(is_json(text));
  }
}

TEST_CASE("objects and arrays are written with the commas between", "[base][json]") {
  JsonWriter json;

  json.begin_object().member("a", 1).key("b").begin_array().value(true).value("x").null();
  json.begin_object().end_object().begin_array().end_array().end_array();
  json.member("c", false).end_object();

  CHECK(json.text() == R"({"a":1,"b":[true,"x",null,{},[]],"c":false})");
  CHECK(is_json(json.text()));
}

TEST_CASE("a value needs neither object nor array around it", "[base][json]") {
  CHECK(JsonWriter{}.value(7).text() == "7");
  CHECK(JsonWriter{}.null().text() == "null");
}

TEST_CASE("a writer whose text was taken begins a new one", "[base][json]") {
  JsonWriter json;
  json.begin_array().value(1).end_array();

  CHECK(json.take() == "[1]");
  CHECK(json.text().empty());
  CHECK(json.value("next").take() == R"("next")");
}

TEST_CASE("integers keep all their digits", "[base][json]") {
  CHECK(JsonWriter{}.value(std::numeric_limits<std::uint64_t>::max()).text() ==
        "18446744073709551615");
  CHECK(JsonWriter{}.value(std::numeric_limits<std::int64_t>::min()).text() ==
        "-9223372036854775808");
  CHECK(JsonWriter{}.value(std::uint8_t{65}).text() == "65");
  CHECK(JsonWriter{}.value(std::int8_t{-1}).text() == "-1");
}

TEST_CASE("numbers with a point read back as the same number", "[base][json]") {
  for (const double number : {0.1, -2.5, 1e300, 5e-324, 1.0 / 3.0, 0.0}) {
    const std::string text = JsonWriter{}.value(number).take();
    CHECK(is_json(text));
    CHECK(std::strtod(text.c_str(), nullptr) == number);
  }
}

TEST_CASE("what is no number in JSON becomes null", "[base][json]") {
  CHECK(JsonWriter{}.value(std::numeric_limits<double>::infinity()).text() == "null");
  CHECK(JsonWriter{}.value(-std::numeric_limits<double>::infinity()).text() == "null");
  CHECK(JsonWriter{}.value(std::numeric_limits<float>::quiet_NaN()).text() == "null");
}

TEST_CASE("signs that mean something to JSON are escaped", "[base][json]") {
  CHECK(quoted("a\"b\\c/d") == R"("a\"b\\c/d")");
  CHECK(quoted("line\nnext\r\ttab") == R"("line\nnext\r\ttab")");
  CHECK(quoted(std::string_view{"\0\x1f\x7f", 3}) == "\"\\u0000\\u001f\x7f\"");
}

TEST_CASE("keys are escaped as strings are", "[base][json]") {
  CHECK(JsonWriter{}.begin_object().member("a\n\"", "").end_object().text() == R"({"a\n\"":""})");
}

TEST_CASE("characters beyond ASCII are written as they are", "[base][json]") {
  const std::string text = "\u00e9 \u20ac \ud7ff \U0001F600 \U0010FFFF";

  CHECK(quoted(text) == '"' + text + '"');
}

TEST_CASE("bytes that are no UTF-8 become the replacement character", "[base][json]") {
  const std::string bad = "\uFFFD";

  CHECK(quoted("a\xff"
               "b") == "\"a" + bad + "b\"");
  CHECK(quoted("\xe2\x82") == '"' + bad + bad + '"');            // cut off
  CHECK(quoted("\xc3\"") == '"' + bad + "\\\"\"");               // cut off by a quote
  CHECK(quoted("\xc0\xaf") == '"' + bad + bad + '"');            // longer than need be
  CHECK(quoted("\xe0\x9f\xbf") == '"' + bad + bad + bad + '"');  // as well
  CHECK(quoted("\xed\xa0\x80") == '"' + bad + bad + bad + '"');  // half of a pair of UTF-16
  CHECK(quoted("\xf0\x8f\xbf\xbf") == '"' + bad + bad + bad + bad + '"');
  CHECK(quoted("\xf4\x90\x80\x80") == '"' + bad + bad + bad + bad + '"');  // above U+10FFFF
}

TEST_CASE("whatever bytes a string holds, the text is JSON", "[base][json]") {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text{static_cast<char>(first), static_cast<char>(second)};
      if (!is_json(quoted(text))) FAIL_CHECK(first << ' ' << second);
    }
  }
}
