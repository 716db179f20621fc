// SPDX-License-Identifier: BSL-1.0
// The lines of a text that a person reads in a terminal.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace genserver::inline v0 {

/// Builds a text whose lines are no wider than a terminal.
class TextLines {
 public:
  static constexpr std::size_t width = 80;

  /// Adds a line of phrases with a space between any two, after `indent`.
  ///
  /// A phrase that does not fit any more goes on below, four columns further in. One that is wider
  /// than a line is broken between its words, and one of several lines where they end. So only a
  /// single word may be wider.
  void add(std::string_view indent, std::initializer_list<std::string_view> phrases);

  /// Adds a line that may not be broken, whatever its width.
  void add_whole(std::string_view indent, std::string_view line);

  /// Adds lines that are ready, each ended by a newline.
  void add_lines(std::string_view lines) { text_ += lines; }

  /// Returns the lines, each ended by a newline, and is empty again.
  [[nodiscard]] std::string take() { return std::exchange(text_, {}); }

  /// Returns how many columns `text` takes: one per character of UTF-8.
  [[nodiscard]] static std::size_t columns_of(std::string_view text);

 private:
  static constexpr std::size_t deeper = 4;

  void begin_line(std::string_view indent, std::size_t more);
  void end_line(std::string_view indent);
  void put(std::string_view indent, std::string_view piece);
  void put_words(std::string_view indent, std::string_view phrase);
  [[nodiscard]] bool fits(std::string_view piece) const;
  [[nodiscard]] bool is_fresh() const { return text_.size() == content_; }

  std::string text_{};
  std::size_t line_ = 0;     // where the line that add() writes begins in text_
  std::size_t content_ = 0;  // where its indent ends
};

inline void TextLines::add(std::string_view indent,
                           std::initializer_list<std::string_view> phrases) {
  begin_line(indent, 0);
  for (const std::string_view phrase : phrases) {
    const bool fits_below = columns_of(indent) + deeper + columns_of(phrase) <= width;
    if (phrase.find_first_of("\t\r\n") == phrase.npos && (fits(phrase) || fits_below)) {
      put(indent, phrase);
    } else {
      put_words(indent, phrase);
    }
  }
  text_ += '\n';
}

inline void TextLines::add_whole(std::string_view indent, std::string_view line) {
  text_.append(indent).append(line).append("\n");
}

inline std::size_t TextLines::columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (const char byte : text) {  // a byte 10xxxxxx continues the character before it
    columns += (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U ? 0U : 1U;
  }
  return columns;
}

inline void TextLines::begin_line(std::string_view indent, std::size_t more) {
  line_ = text_.size();
  text_.append(indent).append(more, ' ');
  content_ = text_.size();
}

/// Ends the line and begins the next one below, unless nothing is on it yet.
inline void TextLines::end_line(std::string_view indent) {
  if (is_fresh()) return;
  text_ += '\n';
  begin_line(indent, deeper);
}

inline void TextLines::put(std::string_view indent, std::string_view piece) {
  if (piece.empty()) return;
  if (!fits(piece)) end_line(indent);
  if (!is_fresh()) text_ += ' ';
  text_ += piece;
}

inline void TextLines::put_words(std::string_view indent, std::string_view phrase) {
  constexpr std::string_view blanks = " \t\r\n";
  std::size_t begin = phrase.find_first_not_of(blanks);
  while (begin != phrase.npos) {
    const std::size_t end = phrase.find_first_of(blanks, begin);
    put(indent, phrase.substr(begin, end - begin));
    begin = phrase.find_first_not_of(blanks, end);
    if (begin == phrase.npos) return;
    if (phrase.substr(end, begin - end).find('\n') != phrase.npos) end_line(indent);
  }
}

inline bool TextLines::fits(std::string_view piece) const {
  const std::size_t taken = columns_of(std::string_view{text_}.substr(line_));
  return taken + (is_fresh() ? 0U : 1U) + columns_of(piece) <= width;
}

}  // namespace genserver::v0
