// SPDX-License-Identifier: BSL-1.0
// The functions of one unit, and what was inlined into them.
#pragma once

#include <genserver/sync/platform/dwarf_ranges.hpp>
#include <genserver/sync/platform/dwarf_unit.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace genserver::inline v0::platform {

/// A function at an address: compiled there, or inlined into the one before.
struct DwarfFunction {
  std::uint64_t entry = 0;
  std::uint64_t call_file = 0;  // from where it is called, if it was inlined
  unsigned call_line = 0;
};

/// Finds the functions at an address.
///
/// Lifetime: shorter than that of its unit.
class DwarfFunctions {
 public:
  explicit DwarfFunctions(const DwarfUnit& unit);

  /// Returns the function that is there and what was inlined into it, outermost first.
  [[nodiscard]] std::vector<DwarfFunction> find(std::uint64_t address) const;

 private:
  // An inlined function, and at which depth its children are.
  struct Inlined {
    DwarfFunction function;
    std::size_t depth;
  };

  bool covers(const DwarfEntry& entry, std::uint64_t address) const;

  const DwarfUnit* unit_;
  AddressSpans spans_{};  // of compiled functions
};

inline DwarfFunctions::DwarfFunctions(const DwarfUnit& unit) : unit_{&unit} {
  Cursor cursor = unit.at_root();
  for (DwarfEntry entry; unit.open(cursor, entry);) {
    if (entry.tag != DwarfTag::subprogram) {
      unit.skip(cursor, entry);  // its children come next: functions may be in anything
      continue;
    }
    unit.read(cursor, entry);
    append_spans(unit, entry, spans_);
  }
  sort(spans_);
}

inline bool DwarfFunctions::covers(const DwarfEntry& entry, std::uint64_t address) const {
  AddressSpans spans;
  append_spans(*unit_, entry, spans);
  return std::any_of(spans.begin(), spans.end(),
                     [address](const AddressSpan& span) { return span.contains(address); });
}

inline std::vector<DwarfFunction> DwarfFunctions::find(std::uint64_t address) const {
  constexpr std::size_t most = 200;
  const AddressSpan* span = find_span(spans_, address);
  if (span == nullptr) return {};
  std::vector<DwarfFunction> found{{span->place}};
  std::vector<Inlined> around;
  Cursor cursor = unit_->at(span->place);
  std::size_t depth = 0;
  for (DwarfEntry entry; unit_->open(cursor, entry);) {
    if (entry.tag == DwarfTag::none) {
      if (!around.empty() && around.back().depth == depth) around.pop_back();
      --depth;
    }
    depth += entry.has_children ? 1 : 0;
    if (depth == 0) break;  // the end of the function
    if (entry.tag != DwarfTag::inlined_subroutine) {
      unit_->skip(cursor, entry);
      continue;
    }
    unit_->read(cursor, entry);
    const DwarfFunction inlined{entry.offset, entry[DwarfAttribute::call_file].number,
                                static_cast<unsigned>(entry[DwarfAttribute::call_line].number)};
    const bool is_deepest = around.size() + 2 > found.size() && around.size() < most;
    if (is_deepest && covers(entry, address)) {
      found.resize(1);
      for (const Inlined& outer : around) found.push_back(outer.function);
      found.push_back(inlined);
    }
    if (entry.has_children && around.size() < most) around.push_back({inlined, depth});
  }
  return found;
}

}  // namespace genserver::v0::platform
