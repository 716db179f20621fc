// SPDX-License-Identifier: BSL-1.0
// The parts of a package (.dwp) that belong to one of the split-off units in it.
#pragma once

#include <genserver/sync/platform/dwarf_sections.hpp>
#include <genserver/sync/platform/dwarf_values.hpp>

#include <cstdint>

namespace genserver::inline v0::platform {

/// Narrows a package's sections to what belongs to the unit `id`; if there is none nothing is left
/// of the entries.
inline void select_unit(DwarfSections& sections, std::uint64_t id) noexcept;

namespace detail {

// Which row of the tables belongs to `id`, counted from 1; 0: none.
inline std::uint32_t find_row(Cursor ids, Cursor rows, std::uint32_t slots,
                              std::uint64_t id) noexcept {
  for (std::uint32_t slot = 0; slot < slots && ids.is_good(); ++slot) {
    const auto row = rows.take<std::uint32_t>();
    if (ids.take<std::uint64_t>() == id && row != 0) return row;
  }
  return 0;
}

// The section of a column. The numbers before version 5 agree for the sections that matter.
inline Cursor* section_of(DwarfSections& sections, std::uint32_t column) noexcept {
  switch (column) {
    case 1: return &sections.entries;
    case 3: return &sections.abbreviations;
    case 6: return &sections.text_offsets;
    case 8: return &sections.range_lists;
    default: return nullptr;
  }
}

}  // namespace detail

inline void select_unit(DwarfSections& sections, std::uint64_t id) noexcept {
  Cursor index = sections.unit_index;
  index.skip(4);  // the version
  const auto columns = index.take<std::uint32_t>();
  const auto units = index.take<std::uint32_t>();
  const auto slots = index.take<std::uint32_t>();
  const Cursor ids = index.take_block(std::uint64_t{slots} * 8);
  const Cursor rows = index.take_block(std::uint64_t{slots} * 4);
  const std::uint32_t row = detail::find_row(ids, rows, slots, id);
  if (!index.is_good() || row == 0 || row > units || columns > 8) {
    sections.entries = {};
    return;
  }
  const std::uint64_t line = std::uint64_t{columns} * 4;
  Cursor names = index.take_block(line);
  Cursor offsets = moved(index, line * (row - 1));
  Cursor sizes = moved(index, line * (units + row - 1));
  for (std::uint32_t column = 0; column < columns; ++column) {
    Cursor* section = detail::section_of(sections, names.take<std::uint32_t>());
    const auto offset = offsets.take<std::uint32_t>();
    const auto size = sizes.take<std::uint32_t>();
    if (section != nullptr) *section = moved(*section, offset).take_block(size);
  }
}

}  // namespace genserver::v0::platform
