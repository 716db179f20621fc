// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/text_lines.hpp>

#include <support/catch.hpp>

#include <initializer_list>
#include <string>
#include <string_view>

using genserver::TextLines;

namespace {

std::string one_line(std::string_view indent, std::initializer_list<std::string_view> phrases) {
  TextLines lines;
  lines.add(indent, phrases);
  return lines.take();
}

const std::string half(40, 'a');
const std::string rest(39, 'b');
const std::string wide(90, 'c');

}  // namespace

TEST_CASE("phrases that fit stand on one line", "[base][text_lines]") {
  CHECK(one_line("  ", {"one two", "three"}) == "  one two three\n");
  CHECK(one_line("", {half, rest}) == half + ' ' + rest + '\n');  // 80 columns
  CHECK(one_line("", {"one", "", "two"}) == "one two\n");
}

TEST_CASE("a phrase that does not fit goes on below", "[base][text_lines]") {
  CHECK(one_line(" ", {half, rest}) == " " + half + "\n     " + rest + '\n');
  CHECK(one_line("", {half, half, "end"}) == half + "\n    " + half + " end\n");
}

TEST_CASE("a phrase that is wider than a line is broken between words", "[base][text_lines]") {
  CHECK(one_line("", {half + ' ' + half + " end"}) == half + "\n    " + half + " end\n");
  CHECK(one_line("", {"first", half + ' ' + half}) == "first " + half + "\n    " + half + '\n');
}

TEST_CASE("only a word that is wider than a line may be wider", "[base][text_lines]") {
  CHECK(one_line("", {wide}) == wide + '\n');
  CHECK(one_line("  ", {"before " + wide + " after"}) ==
        "  before\n      " + wide + "\n      after\n");
}

TEST_CASE("a phrase of several lines keeps them, further in", "[base][text_lines]") {
  CHECK(one_line("  ", {"first\nsecond line", "third"}) == "  first\n      second line third\n");
  CHECK(one_line("", {"ends with one\n"}) == "ends with one\n");
  CHECK(one_line("", {"\r\n one\r\n\r\n\ttwo"}) == "one\n    two\n");
}

TEST_CASE("a line that is to stay whole does, whatever its width", "[base][text_lines]") {
  TextLines lines;
  lines.add_whole("  ", wide + " x");
  lines.add_lines("done\n");

  CHECK(lines.take() == "  " + wide + " x\ndone\n");
  CHECK(lines.take().empty());
}

TEST_CASE("lines that follow a taken text begin anew", "[base][text_lines]") {
  TextLines lines;
  lines.add("", {half, half});
  REQUIRE_FALSE(lines.take().empty());

  lines.add("", {"short"});
  lines.add(" ", {"lines"});

  CHECK(lines.take() == "short\n lines\n");
}

TEST_CASE("a character takes one column, however many bytes it has", "[base][text_lines]") {
  std::string umlauts;
  for (int count = 0; count < 40; ++count) umlauts += "\u00e4";

  CHECK(TextLines::columns_of(umlauts) == 40);
  CHECK(one_line("", {umlauts, rest}) == umlauts + ' ' + rest + '\n');
}
