// SPDX-License-Identifier: BSL-1.0
// Values in debug information, in the encodings that DWARF calls forms.
//
// Format of this and the other dwarf_ files: the DWARF standard, versions 2 to 5 (dwarfstd.org).
#pragma once

#include <genserver/sync/platform/eh_frame.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace genserver::inline v0::platform {

/// What the sizes of some values depend on.
struct DwarfFormat {
  unsigned version = 0;
  unsigned address_size = 8;
  unsigned offset_size = 4;  // 8 in the 64-bit format
};

enum class DwarfForm : std::uint16_t {
  none = 0x00,
  address = 0x01,
  block2 = 0x03,
  block4 = 0x04,
  data2 = 0x05,
  data4 = 0x06,
  data8 = 0x07,
  text = 0x08,
  block = 0x09,
  block1 = 0x0a,
  data1 = 0x0b,
  flag = 0x0c,
  signed_data = 0x0d,
  text_offset = 0x0e,
  unsigned_data = 0x0f,
  any_reference = 0x10,  // also into another unit
  reference1 = 0x11,
  reference2 = 0x12,
  reference4 = 0x13,
  reference8 = 0x14,
  unsigned_reference = 0x15,
  indirect = 0x16,
  section_offset = 0x17,
  expression = 0x18,
  present = 0x19,
  text_index = 0x1a,
  address_index = 0x1b,
  other_file_reference4 = 0x1c,
  other_file_text = 0x1d,
  data16 = 0x1e,
  line_text_offset = 0x1f,
  type_signature = 0x20,
  constant = 0x21,  // is in the abbreviation
  location_list_index = 0x22,
  range_list_index = 0x23,
  other_file_reference8 = 0x24,
  text_index1 = 0x25,
  text_index2 = 0x26,
  text_index3 = 0x27,
  text_index4 = 0x28,
  address_index1 = 0x29,
  address_index2 = 0x2a,
  address_index3 = 0x2b,
  address_index4 = 0x2c,
  gnu_address_index = 0x1f01,
  gnu_text_index = 0x1f02,
  gnu_other_file_reference = 0x1f20,
  gnu_other_file_text = 0x1f21
};

/// A number, an offset or an index; of a text in place its address. Blocks are skipped.
struct DwarfValue {
  DwarfForm form = DwarfForm::none;
  std::uint64_t number = 0;
};

/// Returns the position `offset` bytes on; a bad one if that is outside.
[[gnu::noinline]] inline Cursor moved(Cursor section, std::uint64_t offset) noexcept {
  section.skip(offset);
  return section;
}

/// Takes a number of 0, 1, 2, 3, 4 or 8 bytes; others are skipped.
[[gnu::noinline]] inline std::uint64_t take_number(Cursor& cursor, unsigned size) noexcept {
  switch (size) {
    case 1: return cursor.take<std::uint8_t>();
    case 2: return cursor.take<std::uint16_t>();
    case 4: return cursor.take<std::uint32_t>();
    case 8: return cursor.take<std::uint64_t>();
    case 3: {
      const std::uint64_t low = cursor.take<std::uint16_t>();
      return low | std::uint64_t{cursor.take<std::uint8_t>()} << 16U;
    }
    default: cursor.skip(size); return 0;
  }
}

/// Takes a text and the zero behind it, which has to be there.
[[gnu::noinline]] inline std::string_view take_text(Cursor& cursor) noexcept {
  if (cursor.is_at_end()) {
    cursor.fail();
    return {};
  }
  const auto* start = reinterpret_cast<const char*>(cursor.position());
  const std::size_t length = ::strnlen(start, cursor.end() - cursor.position());
  cursor.skip(length + 1);
  return cursor.is_good() ? std::string_view{start, length} : std::string_view{};
}

/// Takes the length that begins a unit or a table, and what it covers; sets the offsets' size.
[[gnu::noinline]] inline Cursor take_unit(Cursor& section, DwarfFormat& format) noexcept {
  constexpr std::uint32_t is_64_bit = 0xffffffff;
  std::uint64_t length = section.take<std::uint32_t>();
  format.offset_size = length == is_64_bit ? 8 : 4;
  if (length == is_64_bit) length = section.take<std::uint64_t>();
  return section.take_block(length);
}

/// Returns how many bytes a value takes, or -1 if that depends on the value.
inline int size_of(DwarfForm form, const DwarfFormat& format) noexcept {
  switch (form) {
    case DwarfForm::present:
    case DwarfForm::constant: return 0;
    case DwarfForm::data1:
    case DwarfForm::flag:
    case DwarfForm::reference1:
    case DwarfForm::text_index1:
    case DwarfForm::address_index1: return 1;
    case DwarfForm::data2:
    case DwarfForm::reference2:
    case DwarfForm::text_index2:
    case DwarfForm::address_index2: return 2;
    case DwarfForm::text_index3:
    case DwarfForm::address_index3: return 3;
    case DwarfForm::data4:
    case DwarfForm::reference4:
    case DwarfForm::other_file_reference4:
    case DwarfForm::text_index4:
    case DwarfForm::address_index4: return 4;
    case DwarfForm::data8:
    case DwarfForm::reference8:
    case DwarfForm::type_signature:
    case DwarfForm::other_file_reference8: return 8;
    case DwarfForm::data16: return 16;
    case DwarfForm::address: return static_cast<int>(format.address_size);
    case DwarfForm::any_reference:
      return static_cast<int>(format.version > 2 ? format.offset_size : format.address_size);
    case DwarfForm::text_offset:
    case DwarfForm::line_text_offset:
    case DwarfForm::section_offset:
    case DwarfForm::other_file_text:
    case DwarfForm::gnu_other_file_reference:
    case DwarfForm::gnu_other_file_text: return static_cast<int>(format.offset_size);
    default: return -1;
  }
}

/// Takes a value; an unknown form fails, since nothing behind it can be found.
[[gnu::noinline]] inline DwarfValue take_value(Cursor& cursor, DwarfForm form,
                                               const DwarfFormat& format) noexcept {
  DwarfValue value{form, 0};
  if (form == DwarfForm::indirect) {
    value.form = static_cast<DwarfForm>(cursor.take_unsigned() & 0xffffU);
  }
  const int size = size_of(value.form, format);
  if (size >= 0) {
    value.number = take_number(cursor, static_cast<unsigned>(size));
    return value;
  }
  switch (value.form) {
    case DwarfForm::unsigned_data:
    case DwarfForm::unsigned_reference:
    case DwarfForm::text_index:
    case DwarfForm::address_index:
    case DwarfForm::location_list_index:
    case DwarfForm::range_list_index:
    case DwarfForm::gnu_address_index:
    case DwarfForm::gnu_text_index: value.number = cursor.take_unsigned(); break;
    case DwarfForm::signed_data:
      value.number = static_cast<std::uint64_t>(cursor.take_signed());
      break;
    case DwarfForm::text:
      value.number = cursor.position();
      take_text(cursor);
      if (!cursor.is_good()) value.number = 0;
      break;
    case DwarfForm::block1: cursor.skip(cursor.take<std::uint8_t>()); break;
    case DwarfForm::block2: cursor.skip(cursor.take<std::uint16_t>()); break;
    case DwarfForm::block4: cursor.skip(cursor.take<std::uint32_t>()); break;
    case DwarfForm::block:
    case DwarfForm::expression: cursor.skip(cursor.take_unsigned()); break;
    default: cursor.fail(); break;
  }
  return value;
}

}  // namespace genserver::v0::platform
