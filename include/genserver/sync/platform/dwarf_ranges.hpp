// SPDX-License-Identifier: BSL-1.0
// The addresses that an entry of debug information covers.
#pragma once

#include <genserver/sync/platform/dwarf_unit.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace genserver::inline v0::platform {

/// A piece of the program and where what is known of it is found.
struct AddressSpan {
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t place;

  [[nodiscard]] bool contains(std::uint64_t address) const noexcept {
    return address >= begin && address < end;
  }
};

using AddressSpans = std::vector<AddressSpan>;

/// Adds what `entry` covers.
inline void append_spans(const DwarfUnit& unit, const DwarfEntry& entry, AddressSpans& spans);

/// Adds a span, unless it is empty or of a function that the linker has left out: that is at 0 or
/// 1, or so far up that its end has gone round.
[[gnu::noinline]] inline void append_span(AddressSpan span, AddressSpans& spans) {
  constexpr std::size_t most = 1U << 22U;
  if (span.begin > 1 && span.begin < span.end && spans.size() < most) spans.push_back(span);
}

/// Sorts by the begin; of equal ones the longest comes first. Not by std::sort, which would be
/// compiled with every file that includes this.
[[gnu::noinline]] inline void sort(AddressSpans& spans) {
  if (spans.empty()) return;  // then there are no data to point to
  std::qsort(spans.data(), spans.size(), sizeof(AddressSpan), [](const void* one, const void* two) {
    const auto& left = *static_cast<const AddressSpan*>(one);
    const auto& right = *static_cast<const AddressSpan*>(two);
    if (left.begin != right.begin) return left.begin < right.begin ? -1 : 1;
    return left.end == right.end ? 0 : (left.end > right.end ? -1 : 1);
  });
}

/// Returns the span around `address` that begins last, or null.
inline const AddressSpan* find_span(const AddressSpans& sorted, std::uint64_t address) noexcept {
  auto next = std::upper_bound(
      sorted.begin(), sorted.end(), address,
      [](std::uint64_t place, const AddressSpan& span) { return place < span.begin; });
  // A short span may lie in a longer one that begins earlier: look at some before.
  for (int tries = 0; tries < 256 && next != sorted.begin(); ++tries) {
    --next;
    if (next->contains(address)) return &*next;
  }
  return nullptr;
}

namespace detail {

// Takes a list of version 5.
inline void append_range_list(const DwarfUnit& unit, Cursor list, std::uint64_t place,
                              AddressSpans& spans) {
  enum Kind : unsigned {
    end_of_list,
    base_index,
    index_and_index,
    index_and_length,
    two_offsets,
    base,
    two_addresses,
    address_and_length
  };
  const unsigned size = unit.format().address_size;
  std::uint64_t from = unit.low_address();
  while (list.is_good() && unit.shared().step()) {
    AddressSpan span{0, 0, place};
    const unsigned kind = list.take<std::uint8_t>();
    switch (kind) {
      case base_index: from = unit.address_at(list.take_unsigned()); continue;
      case base: from = take_number(list, size); continue;
      case two_offsets:
        span.begin = from + list.take_unsigned();
        span.end = from + list.take_unsigned();
        break;
      case index_and_index:
      case index_and_length: span.begin = unit.address_at(list.take_unsigned()); break;
      case two_addresses:
      case address_and_length: span.begin = take_number(list, size); break;
      default: return;
    }
    if (kind == index_and_index) span.end = unit.address_at(list.take_unsigned());
    if (kind == two_addresses) span.end = take_number(list, size);
    if (kind == index_and_length || kind == address_and_length) {
      span.end = span.begin + list.take_unsigned();
    }
    if (list.is_good()) append_span(span, spans);
  }
}

// Takes a list of the versions before: pairs of offsets.
inline void append_ranges(const DwarfUnit& unit, Cursor list, std::uint64_t place,
                          AddressSpans& spans) {
  const unsigned size = unit.format().address_size;
  const std::uint64_t base_follows = ~std::uint64_t{0} >> (64 - 8 * size);
  std::uint64_t from = unit.low_address();
  while (list.is_good() && unit.shared().step()) {
    const std::uint64_t begin = take_number(list, size);
    const std::uint64_t end = take_number(list, size);
    if (begin == 0 && end == 0) return;
    if (begin == base_follows) {
      from = end;
    } else if (list.is_good()) {
      append_span({from + begin, from + end, place}, spans);
    }
  }
}

}  // namespace detail

inline void append_spans(const DwarfUnit& unit, const DwarfEntry& entry, AddressSpans& spans) {
  const DwarfFormat& format = unit.format();
  const DwarfValue& ranges = entry[DwarfAttribute::ranges];
  if (ranges.form != DwarfForm::none && format.version < 5) {
    const std::uint64_t offset = ranges.number + unit.old_ranges_base();
    return detail::append_ranges(unit, moved(unit.shared().ranges, offset), entry.offset, spans);
  }
  if (ranges.form != DwarfForm::none) {
    const Cursor& lists = unit.sections().range_lists;
    std::uint64_t offset = ranges.number;
    if (ranges.form == DwarfForm::range_list_index) {
      const std::uint64_t base = unit.range_list_base();
      Cursor offsets = moved(lists, base + offset * format.offset_size);
      offset = base + take_number(offsets, format.offset_size);
    }
    return detail::append_range_list(unit, moved(lists, offset), entry.offset, spans);
  }
  if (!entry.has(DwarfAttribute::low_address) || !entry.has(DwarfAttribute::high_address)) return;
  const DwarfValue& high = entry[DwarfAttribute::high_address];
  const std::uint64_t begin = unit.address(entry[DwarfAttribute::low_address]);
  const std::uint64_t end = unit.address(high);
  // Since version 4 it may be a number: the length.
  append_span({begin, end != 0 ? end : begin + high.number, entry.offset}, spans);
}

}  // namespace genserver::v0::platform
