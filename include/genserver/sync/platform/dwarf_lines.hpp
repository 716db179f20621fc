// SPDX-License-Identifier: BSL-1.0
// The table of one unit that says which line of which file an instruction belongs to.
#pragma once

#include <genserver/sync/platform/dwarf_ranges.hpp>
#include <genserver/sync/platform/dwarf_unit.hpp>
#include <genserver/sync/platform/dwarf_values.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace genserver::inline v0::platform {

/// A place in the source; a line of 0 belongs to no line.
struct DwarfLine {
  std::uint64_t file = 0;  // its number in the table
  unsigned line = 0;
};

/// A table, read again for each question, but only the part that is needed.
///
/// Lifetime: shorter than that of its unit.
class DwarfLines {
 public:
  explicit DwarfLines(const DwarfUnit& unit);

  [[nodiscard]] DwarfLine find(std::uint64_t address) const noexcept;
  /// Returns a file's name as it was given to the compiler, but relative to the folder of the
  /// compilation if it is below that.
  [[nodiscard]] std::string file(std::uint64_t number) const;

 private:
  struct Row {
    std::uint64_t address = 0;
    DwarfLine place{1, 1};
    bool is_end = false;  // only its address counts
  };
  // What describes a file or a folder.
  struct Path {
    std::string_view name{};
    std::uint64_t folder = 0;
  };
  // What such descriptions consist of, from version 5.
  struct Fields {
    std::array<std::pair<std::uint64_t, DwarfForm>, 16> kinds{};
    std::size_t count = 0;
  };

  void read_header(Cursor& header);
  void find_sequences();
  bool next(Cursor& program, Row& row) const noexcept;
  bool extended(Cursor& program, Row& row) const noexcept;
  void advance(Row& row, unsigned opcode) const noexcept;

  static Fields take_fields(Cursor& header) noexcept;
  Path take_path(Cursor& header, const Fields& fields) const noexcept;
  static Path take_old_path(Cursor& header) noexcept;
  Path path(std::uint64_t number, std::string_view& folder) const noexcept;
  Path old_path(std::uint64_t number, std::string_view& folder) const noexcept;

  const DwarfUnit* unit_;
  DwarfFormat format_{};
  Cursor paths_{};
  Cursor program_{};
  std::array<std::uint8_t, 256> operand_counts_{};  // by opcode
  AddressSpans sequences_{};                        // their place is the offset in program_
  unsigned instruction_size_ = 1;
  int line_base_ = 0;
  unsigned line_range_ = 1;
  unsigned opcode_base_ = 1;
};

inline DwarfLines::DwarfLines(const DwarfUnit& unit) : unit_{&unit} {
  if (!unit.root().has(DwarfAttribute::line_table)) return;
  Cursor section = moved(unit.shared().lines, unit.root()[DwarfAttribute::line_table].number);
  Cursor table = take_unit(section, format_);
  read_header(table);
  if (program_.is_good()) find_sequences();
}

inline void DwarfLines::read_header(Cursor& header) {
  format_.version = header.take<std::uint16_t>();
  if (format_.version >= 5) {
    format_.address_size = header.take<std::uint8_t>();
    header.skip(1);  // the size of segments
  }
  paths_ = header.take_block(take_number(header, format_.offset_size));
  program_ = header;
  instruction_size_ = paths_.take<std::uint8_t>();
  if (format_.version >= 4) paths_.skip(1);  // operations per instruction: 1 but for VLIW
  paths_.skip(1);                            // whether rows are statements at first
  line_base_ = paths_.take<std::int8_t>();
  line_range_ = paths_.take<std::uint8_t>();
  opcode_base_ = paths_.take<std::uint8_t>();
  for (unsigned opcode = 1; opcode < opcode_base_; ++opcode) {
    operand_counts_[opcode] = paths_.take<std::uint8_t>();
  }
  const bool is_known = format_.version >= 2 && format_.version <= 5 && line_range_ != 0;
  if (!is_known || !paths_.is_good()) program_.fail();
}

inline void DwarfLines::find_sequences() {
  Cursor program = program_;
  std::uint64_t start = 0;
  AddressSpan span{0, 0, 0};
  bool is_first = true;
  for (Row row; next(program, row);) {
    if (is_first) span = {row.address, 0, start};
    is_first = row.is_end;
    if (!row.is_end) continue;
    span.end = row.address;
    append_span(span, sequences_);
    start = program.position() - program_.position();
    row = {};
  }
  sort(sequences_);
}

inline DwarfLine DwarfLines::find(std::uint64_t address) const noexcept {
  const AddressSpan* sequence = find_span(sequences_, address);
  if (sequence == nullptr) return {};
  Cursor program = moved(program_, sequence->place);
  DwarfLine last;
  for (Row row; next(program, row);) {
    if (row.address > address || row.is_end) break;
    last = row.place;
  }
  return last;
}

inline void DwarfLines::advance(Row& row, unsigned opcode) const noexcept {
  row.address += std::uint64_t{(opcode - opcode_base_) / line_range_} * instruction_size_;
}

// Goes on to the next row; false at the end.
inline bool DwarfLines::next(Cursor& program, Row& row) const noexcept {
  enum Opcode : unsigned {
    extended_opcode,
    copy,
    advance_address,
    advance_line,
    set_file,
    set_column,
    negate_statement,
    basic_block,
    add_constant,
    add_fixed
  };
  while (!program.is_at_end() && unit_->shared().step()) {
    const unsigned opcode = program.take<std::uint8_t>();
    if (opcode >= opcode_base_) {
      advance(row, opcode);
      row.place.line += static_cast<unsigned>(
          line_base_ + static_cast<int>((opcode - opcode_base_) % line_range_));
      return program.is_good();
    }
    switch (opcode) {
      case extended_opcode:
        if (extended(program, row)) return program.is_good();
        break;
      case copy: return program.is_good();
      case advance_address: row.address += program.take_unsigned() * instruction_size_; break;
      case advance_line: row.place.line += static_cast<unsigned>(program.take_signed()); break;
      case set_file: row.place.file = program.take_unsigned(); break;
      case add_constant: advance(row, 255); break;
      case add_fixed: row.address += program.take<std::uint16_t>(); break;
      default:
        for (unsigned left = operand_counts_[opcode]; left != 0; --left) program.take_unsigned();
    }
  }
  return false;
}

// Returns whether it ends a sequence.
inline bool DwarfLines::extended(Cursor& program, Row& row) const noexcept {
  enum Opcode : unsigned { none, end_of_sequence, set_address };
  Cursor operands = program.take_block(program.take_unsigned());
  const unsigned opcode = operands.take<std::uint8_t>();
  row.is_end = opcode == end_of_sequence;
  if (opcode == set_address) {
    row.address =
        take_number(operands, static_cast<unsigned>(operands.end() - operands.position()));
  }
  return row.is_end;
}

inline std::string DwarfLines::file(std::uint64_t number) const {
  if (!paths_.is_good()) return {};
  std::string_view folder;
  const Path path = format_.version >= 5 ? this->path(number, folder) : old_path(number, folder);
  constexpr std::size_t most_letters = 4096;
  std::string whole{path.name.substr(0, most_letters)};
  if (whole.empty()) return whole;
  if (whole.front() != '/' && path.folder != 0 && !folder.empty()) {
    whole.insert(0, 1, '/').insert(0, folder.substr(0, most_letters));
  }
  std::string_view base = unit_->text(unit_->root()[DwarfAttribute::folder]);
  while (base.ends_with('/')) base.remove_suffix(1);
  const bool is_below = whole.starts_with(base) && whole.size() > base.size() + 1 &&
                        whole[base.size()] == '/' && !base.empty();
  if (is_below) whole.erase(0, base.size() + 1);
  if (whole.starts_with("./")) whole.erase(0, 2);
  return whole;
}

inline DwarfLines::Fields DwarfLines::take_fields(Cursor& header) noexcept {
  Fields fields;
  fields.count = header.take<std::uint8_t>();
  if (fields.count > fields.kinds.size()) header.fail();
  for (std::size_t index = 0; header.is_good() && index < fields.count; ++index) {
    const std::uint64_t kind = header.take_unsigned();
    fields.kinds[index] = {kind, static_cast<DwarfForm>(header.take_unsigned() & 0xffffU)};
  }
  return fields;
}

inline DwarfLines::Path DwarfLines::take_path(Cursor& header, const Fields& fields) const noexcept {
  enum Kind : unsigned { none, name, folder };
  Path path;
  if (!unit_->shared().step()) header.fail();
  for (std::size_t index = 0; header.is_good() && index < fields.count; ++index) {
    const auto [kind, form] = fields.kinds[index];
    const DwarfValue value = take_value(header, form, format_);
    if (kind == name) path.name = unit_->text(value);
    if (kind == folder) path.folder = value.number;
  }
  return path;
}

// Folders and files are both numbered from 0.
inline DwarfLines::Path DwarfLines::path(std::uint64_t number,
                                         std::string_view& folder) const noexcept {
  Cursor header = paths_;
  const Fields folder_fields = take_fields(header);
  const std::uint64_t folder_count = header.take_unsigned();
  const Cursor folders = header;
  for (std::uint64_t at = 0; at < folder_count && header.is_good(); ++at) {
    take_path(header, folder_fields);
  }
  const Fields fields = take_fields(header);
  const std::uint64_t count = header.take_unsigned();
  if (number >= count) return {};
  Path found;
  for (std::uint64_t at = 0; at <= number && header.is_good(); ++at) {
    found = take_path(header, fields);
  }
  if (!header.is_good() || found.folder >= folder_count) return {};
  Cursor cursor = folders;
  for (std::uint64_t at = 0; at <= found.folder && cursor.is_good(); ++at) {
    folder = take_path(cursor, folder_fields).name;
  }
  return found;
}

inline DwarfLines::Path DwarfLines::take_old_path(Cursor& header) noexcept {
  Path path;
  path.name = take_text(header);
  if (path.name.empty()) return path;
  path.folder = header.take_unsigned();
  header.take_unsigned();  // time
  header.take_unsigned();  // size
  return path;
}

// Up to version 4 folders and files are numbered from 1, and an empty name ends them.
inline DwarfLines::Path DwarfLines::old_path(std::uint64_t number,
                                             std::string_view& folder) const noexcept {
  Cursor header = paths_;
  while (!take_text(header).empty()) {
  }
  Path found;
  for (std::uint64_t at = 0; at < number && header.is_good(); ++at) {
    found = take_old_path(header);
    if (found.name.empty()) return {};
  }
  Cursor folders = paths_;
  for (std::uint64_t at = 0; at < found.folder && folders.is_good(); ++at) {
    folder = take_text(folders);
    if (folder.empty()) return found;
  }
  return found;
}

}  // namespace genserver::v0::platform
