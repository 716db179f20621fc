// SPDX-License-Identifier: BSL-1.0
// The shapes that the entries of one unit of debug information have.
#pragma once

#include <genserver/sync/platform/dwarf_sections.hpp>
#include <genserver/sync/platform/dwarf_values.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace genserver::inline v0::platform {

/// The attributes that are looked at.
enum class DwarfAttribute : std::uint8_t {
  sibling,
  name,
  linkage_name,
  low_address,
  high_address,
  ranges,
  origin,  // the entry that describes the function which was inlined or copied here
  declaration,
  call_file,
  call_line,
  line_table,
  folder,
  split_name,
  split_id,
  text_base,
  address_base,
  ranges_base,      // of range lists, version 5
  old_ranges_base,  // of ranges, in a split version 4
  count,
  other = count
};

enum class DwarfTag : std::uint32_t {
  none = 0x00,  // ends the children of an entry
  inlined_subroutine = 0x1d,
  subprogram = 0x2e,
  name_space = 0x39
};

/// The shapes of a unit's entries.
class DwarfAbbreviations {
 public:
  struct Field {
    DwarfAttribute attribute;
    DwarfForm form;
    std::uint64_t constant;
  };
  struct Shape {
    std::uint64_t code;
    DwarfTag tag;
    bool has_children;
    std::int32_t size;  // of all fields, or -1 if it varies
    std::uint32_t first_field;
    std::uint32_t field_count;
  };

  DwarfAbbreviations() = default;
  /// Reads a table as far as the shape `last`; 0: all of it. It takes steps of `sections`.
  DwarfAbbreviations(Cursor table, const DwarfFormat& format, std::uint64_t last,
                     DwarfSections& sections);

  [[nodiscard]] const Shape* find(std::uint64_t code) const noexcept;
  [[nodiscard]] const Field& field(std::size_t index) const noexcept { return fields_[index]; }

 private:
  bool read_fields(Cursor& table, const DwarfFormat& format, Shape& shape);

  std::vector<Shape> shapes_{};  // sorted by code
  std::vector<Field> fields_{};
};

namespace detail {

inline DwarfAttribute attribute_of(std::uint64_t number) noexcept {
  switch (number) {
    case 0x01: return DwarfAttribute::sibling;
    case 0x03: return DwarfAttribute::name;
    case 0x10: return DwarfAttribute::line_table;
    case 0x11: return DwarfAttribute::low_address;
    case 0x12: return DwarfAttribute::high_address;
    case 0x1b: return DwarfAttribute::folder;
    case 0x31: return DwarfAttribute::origin;
    case 0x47: return DwarfAttribute::declaration;
    case 0x55: return DwarfAttribute::ranges;
    case 0x58: return DwarfAttribute::call_file;
    case 0x59: return DwarfAttribute::call_line;
    case 0x6e:
    case 0x2007: return DwarfAttribute::linkage_name;
    case 0x72: return DwarfAttribute::text_base;
    case 0x73:
    case 0x2133: return DwarfAttribute::address_base;
    case 0x74: return DwarfAttribute::ranges_base;
    case 0x76:
    case 0x2130: return DwarfAttribute::split_name;
    case 0x2131: return DwarfAttribute::split_id;
    case 0x2132: return DwarfAttribute::old_ranges_base;
    default: return DwarfAttribute::other;
  }
}

}  // namespace detail

inline DwarfAbbreviations::DwarfAbbreviations(Cursor table, const DwarfFormat& format,
                                              std::uint64_t last, DwarfSections& sections) {
  while (table.is_good()) {
    Shape shape{};
    shape.code = table.take_unsigned();
    if (shape.code == 0) break;
    shape.tag = static_cast<DwarfTag>(table.take_unsigned() & 0xffffU);
    shape.has_children = table.take<std::uint8_t>() != 0;
    if (!read_fields(table, format, shape) || !sections.step(1 + shape.field_count)) break;
    if (!shapes_.empty() && shapes_.back().code >= shape.code) break;  // no compiler does that
    shapes_.push_back(shape);
    if (shape.code == last) break;
  }
}

inline bool DwarfAbbreviations::read_fields(Cursor& table, const DwarfFormat& format,
                                            Shape& shape) {
  constexpr std::size_t most_fields = 1U << 20U;
  shape.first_field = static_cast<std::uint32_t>(fields_.size());
  while (fields_.size() < most_fields) {
    const std::uint64_t attribute = table.take_unsigned();
    const std::uint64_t form = table.take_unsigned();
    if (!table.is_good()) return false;
    if (attribute == 0 && form == 0) return true;
    Field field{detail::attribute_of(attribute), static_cast<DwarfForm>(form & 0xffffU), 0};
    if (field.form == DwarfForm::constant) {
      field.constant = static_cast<std::uint64_t>(table.take_signed());
    }
    const int size = size_of(field.form, format);
    shape.size = shape.size < 0 || size < 0 ? -1 : shape.size + size;
    fields_.push_back(field);
    ++shape.field_count;
  }
  return false;
}

inline const DwarfAbbreviations::Shape* DwarfAbbreviations::find(
    std::uint64_t code) const noexcept {
  // Nearly always they are numbered from 1 without gaps.
  const auto index = static_cast<std::size_t>(code - 1);
  if (index < shapes_.size() && shapes_[index].code == code) return &shapes_[index];
  const auto found = std::lower_bound(
      shapes_.begin(), shapes_.end(), code,
      [](const Shape& shape, std::uint64_t number) { return shape.code < number; });
  return found != shapes_.end() && found->code == code ? &*found : nullptr;
}

}  // namespace genserver::v0::platform
