// SPDX-License-Identifier: BSL-1.0
// The frames of one thread with their names, and how to print them.
#pragma once

#include <genserver/base/text_lines.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// One function on a stack; what is not known is empty or zero.
struct Frame {
  std::uintptr_t address = 0;  ///< In the call, or the instruction itself in the innermost frame.
  std::string function{};      ///< As a person would write it, with its parameters' types.
  std::string module{};        ///< Name of the program or library, without its folder.
  std::uintptr_t offset = 0;   ///< Where `address` is in the module's file, as addr2line takes it.
  std::string file{};
  unsigned line = 0;
  bool is_inlined = false;     ///< Has no return address of its own.
};

/// What a thread was doing, innermost frame first.
struct StackTrace {
  std::vector<Frame> frames{};
  std::string note{};  ///< How it was taken, or why it is missing or incomplete.
};

/// Returns a line per frame, after `indent`, with the place on one of its own below if both do not
/// fit into a terminal.
///
/// Frames of genserver, std, libc and the sanitizers are counted, not printed; numbers are those
/// in `frames`, so that gaps show where. If nothing were left, everything is printed. Long names
/// lose the inside of their template arguments and parameter lists, then the type they return.
[[nodiscard]] inline std::string to_text(const StackTrace& trace, std::string_view indent = {});

/// Returns whether `frame` is of genserver, std, libc, thread start or a sanitizer: what `to_text`
/// leaves out. A lambda belongs to where it was written, not to what it was handed to.
[[nodiscard]] inline bool is_library_frame(const Frame& frame);

namespace detail {

inline bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> heads) {
  for (std::string_view head : heads) {
    if (text.starts_with(head)) return true;
  }
  return false;
}

// The length of `operator<<`, `operator()` and so on if one starts at `at`, otherwise 0: brackets
// in it are none. Where its sign has no bracket, only the word counts.
inline std::size_t operator_length(std::string_view name, std::size_t at) {
  constexpr std::string_view word = "operator";
  if (name.substr(at, word.size()) != word) return 0;
  const std::string_view rest = name.substr(at + word.size());
  for (std::string_view sign :
       {"()", "[]", "<=>", "<<=", ">>=", "->*", "<<", ">>", "<=", ">=", "->", "<", ">"}) {
    if (rest.starts_with(sign)) return word.size() + sign.size();
  }
  return word.size();
}

inline bool is_arrow(std::string_view name, std::size_t at) {
  return name[at] == '>' && at > 0 && name[at - 1] == '-';
}

// Takes the return type off: `void app::run<int>(int)` is `app::run<int>(int)`.
inline std::string_view qualified_name(std::string_view function) {
  std::size_t start = 0;
  int depth = 0;
  for (std::size_t at = 0; at < function.size(); ++at) {
    if (const std::size_t length = operator_length(function, at); length != 0) {
      if (depth == 0 && function.substr(at + length).starts_with(' ')) break;  // operator bool
      at += length - 1;
      continue;
    }
    const char sign = function[at];
    if (sign == '<' || sign == '(' || sign == '[' || sign == '{') ++depth;
    if ((sign == '>' && !is_arrow(function, at)) || sign == ')' || sign == ']' || sign == '}') {
      --depth;
    }
    if (sign != ' ' || depth != 0) continue;
    // `f() const`, `f() [clone .cold]`, `operator< <int>`: the name has begun already.
    if (starts_with_any(function.substr(at + 1), {"const", "volatile", "&", "[", "<"})) continue;
    start = at + 1;
  }
  return function.substr(start);
}

// Leaves out what is inside the `open` brackets nested `level` deep or deeper.
inline std::string elided(std::string_view name, char open, char close, int level) {
  constexpr std::string_view unnamed = "(anonymous namespace)";
  std::string shorter;
  int depth = 0;
  for (std::size_t at = 0; at < name.size(); ++at) {
    std::size_t whole = operator_length(name, at);
    if (open == '(' && name.substr(at).starts_with(unnamed)) whole = unnamed.size();
    if (whole != 0) {
      if (depth < level) shorter += name.substr(at, whole);
      at += whole - 1;
      continue;
    }
    if (name[at] == close && !is_arrow(name, at) && depth > 0) --depth;
    if (depth < level) shorter += name[at];
    if (name[at] != open) continue;
    if (++depth == level && at + 1 < name.size() && name[at + 1] != close) shorter += "...";
  }
  return shorter;
}

inline void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
}

// Shortens in steps until it fits into `width`; the steps that tell least come first.
inline std::string fitted(std::string name, std::size_t width) {
  constexpr std::pair<std::string_view, std::string_view> spellings[] = {
      {"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
       "std::string"},
      {"std::chrono::duration<long, std::ratio<1l, 1000000000l> >", "std::chrono::nanoseconds"},
      {"std::chrono::duration<long, std::ratio<1l, 1000l> >", "std::chrono::milliseconds"},
      {"std::__cxx11::", "std::"},
      {"> >", ">>"}};
  for (const auto& [from, to] : spellings) replace_all(name, from, to);
  for (int level = 2; level >= 1 && name.size() > width; --level) {
    name = elided(name, '<', '>', level);
  }
  if (name.size() > width) name = elided(name, '(', ')', 1);
  if (name.size() > width) name = std::string{qualified_name(name)};
  return name;
}

// As call sites are shown: the file's name tells enough, and the whole path seldom fits.
inline std::string position_of(const Frame& frame) {
  if (!frame.file.empty()) {
    return "at " + frame.file.substr(frame.file.find_last_of("/\\") + 1) +
           (frame.line == 0 ? "" : ':' + std::to_string(frame.line));
  }
  char digits[2 * sizeof(std::uintptr_t) + 1];
  const std::uintptr_t number = frame.module.empty() ? frame.address : frame.offset;
  std::snprintf(digits, sizeof digits, "%llx", static_cast<unsigned long long>(number));
  return '(' + (frame.module.empty() ? std::string{} : frame.module + '+') + "0x" + digits + ')';
}

inline void add_frame(TextLines& lines, const Frame& frame, std::size_t number,
                      std::string_view indent) {
  std::string line = '#' + std::to_string(number) + (number < 10 ? "  " : " ");
  const std::string_view mark = frame.is_inlined ? "  [inlined]" : "";
  const std::size_t taken = TextLines::columns_of(indent) + line.size() + mark.size();
  const std::size_t room = TextLines::width - std::min(taken, TextLines::width);
  line += frame.function.empty() ? "??" : fitted(frame.function, room);
  line += mark;
  const std::string position = position_of(frame);
  const std::size_t columns = TextLines::columns_of(indent) + TextLines::columns_of(line) + 2 +
                              TextLines::columns_of(position);
  if (columns <= TextLines::width) return lines.add_whole(indent, line + "  " + position);
  lines.add_whole(indent, line);
  lines.add_whole(std::string{indent} + "      ", position);
}

// Some compilers leave the namespace out of an inlined function's name.
inline bool is_unqualified_library_frame(const Frame& frame, std::string_view name) {
  if (!frame.is_inlined) return false;
  std::string scope = elided(std::string{name.substr(0, name.find('('))}, '<', '>', 1);
  if (scope.ends_with("::operator")) scope.resize(scope.size() - 10);  // a lambda in a function
  if (scope.find("::") != scope.npos) return false;
  for (const std::string_view folder :
       {"/genserver/base/", "/genserver/sync/", "/genserver/core/", "/genserver/otp/", "/c++/"}) {
    if (frame.file.find(folder) != std::string::npos) return true;
  }
  return false;
}

}  // namespace detail

inline bool is_library_frame(const Frame& frame) {
  // Names with two underscores belong to the implementation: libc's inside, thread start,
  // sanitizers.
  const std::string_view name = detail::qualified_name(frame.function);
  if (detail::starts_with_any(name, {"genserver::", "std::", "__", "_dl_", "_IO_", "_Unwind_"})) {
    return true;
  }
  for (std::string_view start :
       {"_start", "start_thread", "clone", "clone3", "execute_native_thread_routine", "syscall"}) {
    if (name == start) return true;
  }
  if (detail::is_unqualified_library_frame(frame, name)) return true;
  return detail::starts_with_any(
      frame.module,
      {"libc.so", "libc-", "ld-linux", "libpthread", "libstdc++.so", "libc++.so", "libc++abi.so",
       "libgcc_s.so", "libunwind.so", "libtsan.so", "libasan.so", "libubsan.so", "linux-vdso",
       "libclang_rt", "libsystem_", "libc++.1.dylib", "libc++abi.dylib", "dyld", "ntdll.dll",
       "kernel32.dll", "kernelbase.dll", "KERNEL32.DLL", "KERNELBASE.dll", "msvcrt.dll",
       "ucrtbase.dll", "libstdc++-6", "libgcc_s_seh", "libwinpthread"});
}

inline std::string to_text(const StackTrace& trace, std::string_view indent) {
  std::size_t hidden = 0;
  for (const Frame& frame : trace.frames) hidden += is_library_frame(frame) ? 1U : 0U;
  const bool show_all = hidden == trace.frames.size();
  if (show_all) hidden = 0;

  TextLines lines;
  for (std::size_t number = 0; number < trace.frames.size(); ++number) {
    const Frame& frame = trace.frames[number];
    if (show_all || !is_library_frame(frame)) detail::add_frame(lines, frame, number, indent);
  }
  std::string rest = trace.frames.empty() ? "no frames" : "";
  if (hidden != 0) {
    rest = std::to_string(hidden) + (hidden == 1 ? " frame" : " frames") +
           " of genserver, std and libc not shown";
  }
  const bool has_both = !rest.empty() && !trace.note.empty();
  if (has_both) {
    lines.add(indent, {"(" + rest + ";", trace.note + ")"});
  } else if (!rest.empty() || !trace.note.empty()) {
    lines.add(indent, {"(" + rest + trace.note + ")"});
  }
  return lines.take();
}

}  // namespace genserver::v0
