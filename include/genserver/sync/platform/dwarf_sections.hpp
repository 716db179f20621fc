// SPDX-License-Identifier: BSL-1.0
// The debug sections of one file, readable even if they were compressed.
#pragma once

#include <genserver/sync/platform/eh_frame.hpp>
#include <genserver/sync/platform/elf_file.hpp>
#include <genserver/sync/platform/inflate.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <elf.h>

namespace genserver::inline v0::platform {

/// What a file tells about its source; sections that it does not have are empty.
///
/// Lifetime: keeps the file.
class DwarfSections {
 public:
  /// Takes the sections of the names that end with `suffix`, which is .dwo in a split-off file.
  explicit DwarfSections(ElfFile file, std::string_view suffix = {});

  Cursor entries{};
  Cursor abbreviations{};
  Cursor texts{};
  Cursor line_texts{};
  Cursor text_offsets{};
  Cursor addresses{};
  Cursor lines{};
  Cursor ranges{};       // up to version 4
  Cursor range_lists{};  // from version 5
  Cursor unit_index{};   // only in a package of split-off files

  [[nodiscard]] const ElfFile& file() const noexcept { return file_; }
  /// Returns whether a section is missing because its compression is not known here.
  [[nodiscard]] bool is_unreadable() const noexcept { return is_unreadable_; }

  /// Allows one answer some work. In a damaged file many entries may ask for the same long list, so
  /// that bounds alone would not keep the time within limits; after too much work no more is done.
  void allow_answer() noexcept {
    if (steps_left_ != 0) steps_left_ = steps_of_answer;
  }
  /// Returns whether that many more steps may be done.
  bool step(std::uint64_t count = 1) noexcept {
    steps_left_ -= count < steps_left_ ? count : steps_left_;
    return steps_left_ != 0;
  }

 private:
  static constexpr std::uint64_t steps_of_answer = 1U << 28U;

  Cursor read(std::string name);
  Cursor unpack(std::string_view packed);

  ElfFile file_;
  std::vector<std::unique_ptr<char[]>> unpacked_{};
  std::uint64_t steps_left_ = steps_of_answer;
  bool is_unreadable_ = false;
};

namespace detail {

inline Cursor cursor_over(const char* start, std::size_t size) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  return {address, address + size};
}

}  // namespace detail

inline DwarfSections::DwarfSections(ElfFile file, std::string_view suffix)
    : file_{std::move(file)} {
  const std::pair<Cursor*, std::string_view> all[] = {
      {&entries, ".debug_info"},        {&abbreviations, ".debug_abbrev"},
      {&texts, ".debug_str"},           {&line_texts, ".debug_line_str"},
      {&lines, ".debug_line"},          {&text_offsets, ".debug_str_offsets"},
      {&addresses, ".debug_addr"},      {&ranges, ".debug_ranges"},
      {&range_lists, ".debug_rnglists"}};
  for (const auto& [section, name] : all) *section = read(std::string{name}.append(suffix));
  unit_index = read(".debug_cu_index");
  if (file_.section_named(".zdebug_info")) is_unreadable_ = true;  // compressed as before 2015
}

inline Cursor DwarfSections::read(std::string name) {
  const auto section = file_.section_named(name);
  if (!section) return {};
  const std::string_view bytes = file_.bytes(*section);
  if ((section->sh_flags & SHF_COMPRESSED) != 0) return unpack(bytes);
  return detail::cursor_over(bytes.data(), bytes.size());
}

inline Cursor DwarfSections::unpack(std::string_view packed) {
  ElfW(Chdr) header{};
  is_unreadable_ = true;
  if (packed.size() < sizeof header) return {};
  std::memcpy(&header, packed.data(), sizeof header);
  packed.remove_prefix(sizeof header);
  constexpr std::uint64_t best_ratio = 1032;  // no data can be packed more tightly
  if (header.ch_type != ELFCOMPRESS_ZLIB || header.ch_size / best_ratio > packed.size()) return {};
  std::unique_ptr<char[]> bytes{new (std::nothrow) char[header.ch_size]};
  if (bytes == nullptr || !inflate(packed, bytes.get(), header.ch_size)) return {};
  is_unreadable_ = false;
  const Cursor cursor = detail::cursor_over(bytes.get(), header.ch_size);
  unpacked_.push_back(std::move(bytes));
  return cursor;
}

}  // namespace genserver::v0::platform
