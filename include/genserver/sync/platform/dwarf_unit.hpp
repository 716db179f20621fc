// SPDX-License-Identifier: BSL-1.0
// One unit of debug information: what the compiler tells about one source file it compiled.
#pragma once

#include <genserver/sync/platform/dwarf_abbreviations.hpp>
#include <genserver/sync/platform/dwarf_sections.hpp>
#include <genserver/sync/platform/dwarf_values.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace genserver::inline v0::platform {

/// An entry: a function, a type, a name space and so on.
struct DwarfEntry {
  std::uint64_t offset = 0;  // in the section
  DwarfTag tag = DwarfTag::none;
  bool has_children = false;
  const DwarfAbbreviations::Shape* shape = nullptr;
  // Those that were not read have no form.
  std::array<DwarfValue, static_cast<std::size_t>(DwarfAttribute::count)> values{};

  [[nodiscard]] const DwarfValue& operator[](DwarfAttribute attribute) const noexcept {
    return values[static_cast<std::size_t>(attribute)];
  }
  [[nodiscard]] bool has(DwarfAttribute attribute) const noexcept {
    return (*this)[attribute].form != DwarfForm::none;
  }
};

/// A unit and how its values are to be read.
///
/// Lifetime: shorter than that of its sections.
class DwarfUnit {
 public:
  /// Reads the unit's header at `section` and moves behind the unit. Of a split-off unit `skeleton`
  /// is what has stayed in the program.
  DwarfUnit(DwarfSections& sections, Cursor& section, const DwarfUnit* skeleton = nullptr);

  [[nodiscard]] bool is_good() const noexcept { return is_good_; }
  [[nodiscard]] const DwarfEntry& root() const noexcept { return root_; }
  [[nodiscard]] const DwarfFormat& format() const noexcept { return format_; }
  [[nodiscard]] DwarfSections& sections() const noexcept { return *sections_; }
  /// Returns the sections with the addresses: the program's, also for a split-off unit.
  [[nodiscard]] DwarfSections& shared() const noexcept { return *shared_; }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  [[nodiscard]] bool contains(std::uint64_t entry) const noexcept {
    return entry >= root_.offset && entry < offset_of(body_.end());
  }
  /// Identifies the two parts of a split unit; 0 if it has none.
  [[nodiscard]] std::uint64_t split_id() const noexcept { return split_id_; }
  /// What range lists are relative to.
  [[nodiscard]] std::uint64_t low_address() const noexcept { return low_address_; }
  [[nodiscard]] std::uint64_t range_list_base() const noexcept { return range_list_base_; }
  [[nodiscard]] std::uint64_t old_ranges_base() const noexcept {
    return shared_ == sections_ ? 0 : old_ranges_base_;  // it is not for what has stayed
  }

  /// Makes all entries readable, not only the root.
  void read_abbreviations();

  /// Returns the position of an entry, or of the root.
  [[nodiscard]] Cursor at(std::uint64_t entry) const noexcept {
    return moved(body_, entry - root_.offset);
  }
  [[nodiscard]] Cursor at_root() const noexcept { return body_; }
  /// Takes the beginning of an entry; read() or skip() has to follow. False if there is none.
  bool open(Cursor& cursor, DwarfEntry& entry) const noexcept;
  void read(Cursor& cursor, DwarfEntry& entry) const noexcept;
  void skip(Cursor& cursor, const DwarfEntry& entry) const noexcept;
  /// Moves behind the children of an entry that was read; false if the unit does not say where.
  bool skip_children(Cursor& cursor, const DwarfEntry& entry) const noexcept;

  [[nodiscard]] std::string_view text(const DwarfValue& value) const noexcept;
  [[nodiscard]] std::uint64_t address(const DwarfValue& value) const noexcept;
  [[nodiscard]] std::uint64_t address_at(std::uint64_t index) const noexcept;
  /// Returns the offset of the entry that is meant, unless it is in another file.
  [[nodiscard]] std::optional<std::uint64_t> reference(const DwarfValue& value) const noexcept;

 private:
  bool read_header(Cursor& header);
  void read_root(const DwarfUnit* skeleton);
  [[nodiscard]] std::uint64_t offset_of(std::uintptr_t position) const noexcept {
    return position - sections_->entries.position();
  }

  DwarfSections* sections_;
  DwarfSections* shared_;
  DwarfFormat format_{};
  std::uint64_t offset_ = 0;
  Cursor body_{};  // from the root
  Cursor table_{};
  DwarfAbbreviations abbreviations_{};
  DwarfEntry root_{};
  std::uint64_t split_id_ = 0;
  std::uint64_t low_address_ = 0;
  std::uint64_t text_base_ = 0;
  std::uint64_t address_base_ = 0;
  std::uint64_t range_list_base_ = 0;
  std::uint64_t old_ranges_base_ = 0;
  bool is_good_ = false;
};

inline DwarfUnit::DwarfUnit(DwarfSections& sections, Cursor& section, const DwarfUnit* skeleton)
    : sections_{&sections}, shared_{skeleton == nullptr ? &sections : skeleton->shared_} {
  offset_ = offset_of(section.position());
  body_ = take_unit(section, format_);
  if (read_header(body_)) read_root(skeleton);
}

inline bool DwarfUnit::read_header(Cursor& header) {
  enum Kind : unsigned { whole = 1, type = 2, part = 3, skeleton = 4, split = 5, split_type = 6 };
  format_.version = header.take<std::uint16_t>();
  if (format_.version < 2 || format_.version > 5) return false;
  const unsigned kind = format_.version < 5 ? unsigned{whole} : header.take<std::uint8_t>();
  if (format_.version >= 5) format_.address_size = header.take<std::uint8_t>();
  table_ = moved(sections_->abbreviations, take_number(header, format_.offset_size));
  if (format_.version < 5) format_.address_size = header.take<std::uint8_t>();
  if (kind == skeleton || kind == split) split_id_ = header.take<std::uint64_t>();
  return header.is_good() && kind != type && kind != split_type && format_.address_size - 1 < 8;
}

inline void DwarfUnit::read_root(const DwarfUnit* skeleton) {
  abbreviations_ = DwarfAbbreviations{table_, format_, Cursor{body_}.take_unsigned(), *shared_};
  Cursor cursor = body_;
  if (!open(cursor, root_) || root_.tag == DwarfTag::none) return;
  read(cursor, root_);
  is_good_ = cursor.is_good();
  const auto number = [this](DwarfAttribute attribute, std::uint64_t otherwise) {
    return root_.has(attribute) ? root_[attribute].number : otherwise;
  };
  // Lists begin with a header, which the bases point behind.
  const std::uint64_t header = format_.offset_size == 8 ? 16 : 8;
  const bool has_header = format_.version >= 5;
  text_base_ = number(DwarfAttribute::text_base, has_header ? header : 0);
  range_list_base_ = number(DwarfAttribute::ranges_base, header + 4);
  old_ranges_base_ = number(DwarfAttribute::old_ranges_base, 0);
  address_base_ = number(DwarfAttribute::address_base, has_header ? header : 0);
  split_id_ = number(DwarfAttribute::split_id, split_id_);
  if (skeleton != nullptr) {
    address_base_ = skeleton->address_base_;
    old_ranges_base_ = skeleton->old_ranges_base_;
  }
  low_address_ = root_.has(DwarfAttribute::low_address)
                     ? address(root_[DwarfAttribute::low_address])
                     : (skeleton == nullptr ? 0 : skeleton->low_address_);
}

inline void DwarfUnit::read_abbreviations() {
  abbreviations_ = DwarfAbbreviations{table_, format_, 0, *shared_};
  root_.shape = nullptr;
}

[[gnu::noinline]] inline bool DwarfUnit::open(Cursor& cursor, DwarfEntry& entry) const noexcept {
  entry.offset = offset_of(cursor.position());
  const std::uint64_t code = cursor.take_unsigned();
  entry.tag = DwarfTag::none;
  entry.has_children = false;
  entry.shape = nullptr;
  if (!cursor.is_good()) return false;
  if (code == 0) return shared_->step();
  entry.shape = abbreviations_.find(code);
  if (entry.shape == nullptr || !shared_->step(1 + entry.shape->field_count)) return false;
  entry.tag = entry.shape->tag;
  entry.has_children = entry.shape->has_children;
  return true;
}

[[gnu::noinline]] inline void DwarfUnit::read(Cursor& cursor, DwarfEntry& entry) const noexcept {
  entry.values.fill({});
  if (entry.shape == nullptr) return;
  for (std::size_t index = 0; index < entry.shape->field_count; ++index) {
    const auto& field = abbreviations_.field(entry.shape->first_field + index);
    DwarfValue value = take_value(cursor, field.form, format_);
    if (field.form == DwarfForm::constant) value.number = field.constant;
    if (field.attribute == DwarfAttribute::other) continue;
    entry.values[static_cast<std::size_t>(field.attribute)] = value;
  }
}

[[gnu::noinline]] inline void DwarfUnit::skip(Cursor& cursor,
                                              const DwarfEntry& entry) const noexcept {
  if (entry.shape == nullptr) return;
  if (entry.shape->size >= 0) return cursor.skip(static_cast<std::uint64_t>(entry.shape->size));
  for (std::size_t index = 0; index < entry.shape->field_count; ++index) {
    take_value(cursor, abbreviations_.field(entry.shape->first_field + index).form, format_);
  }
}

inline bool DwarfUnit::skip_children(Cursor& cursor, const DwarfEntry& entry) const noexcept {
  if (!entry.has_children) return true;
  const auto sibling = reference(entry[DwarfAttribute::sibling]);
  if (!sibling || *sibling < offset_of(cursor.position()) || !contains(*sibling)) return false;
  cursor = at(*sibling);
  return true;
}

[[gnu::noinline]] inline std::string_view DwarfUnit::text(const DwarfValue& value) const noexcept {
  std::uint64_t offset = value.number;
  switch (value.form) {
    case DwarfForm::text: {
      const auto* start = reinterpret_cast<const char*>(static_cast<std::uintptr_t>(value.number));
      return start == nullptr ? std::string_view{} : start;  // its end was seen
    }
    case DwarfForm::line_text_offset: {
      Cursor line_text = moved(shared_->line_texts, value.number);
      return take_text(line_text);
    }
    case DwarfForm::text_offset: break;
    case DwarfForm::text_index:
    case DwarfForm::text_index1:
    case DwarfForm::text_index2:
    case DwarfForm::text_index3:
    case DwarfForm::text_index4:
    case DwarfForm::gnu_text_index: {
      const std::uint64_t place = text_base_ + value.number * format_.offset_size;
      Cursor offsets = moved(sections_->text_offsets, place);
      offset = take_number(offsets, format_.offset_size);
      if (!offsets.is_good()) return {};
      break;
    }
    default: return {};
  }
  Cursor text = moved(sections_->texts, offset);
  return take_text(text).substr(0, 1U << 16U);  // longer ones are no names
}

inline std::uint64_t DwarfUnit::address_at(std::uint64_t index) const noexcept {
  Cursor addresses = moved(shared_->addresses, address_base_ + index * format_.address_size);
  return take_number(addresses, format_.address_size);
}

[[gnu::noinline]] inline std::uint64_t DwarfUnit::address(const DwarfValue& value) const noexcept {
  switch (value.form) {
    case DwarfForm::address: return value.number;
    case DwarfForm::address_index:
    case DwarfForm::address_index1:
    case DwarfForm::address_index2:
    case DwarfForm::address_index3:
    case DwarfForm::address_index4:
    case DwarfForm::gnu_address_index: return address_at(value.number);
    default: return 0;
  }
}

inline std::optional<std::uint64_t> DwarfUnit::reference(const DwarfValue& value) const noexcept {
  switch (value.form) {
    case DwarfForm::reference1:
    case DwarfForm::reference2:
    case DwarfForm::reference4:
    case DwarfForm::reference8:
    case DwarfForm::unsigned_reference: return offset_ + value.number;
    case DwarfForm::any_reference: return value.number;
    default: return std::nullopt;
  }
}

}  // namespace genserver::v0::platform
