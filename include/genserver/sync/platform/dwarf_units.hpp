// SPDX-License-Identifier: BSL-1.0
// All units of one file, of which those that were used last are kept.
#pragma once

#include <genserver/sync/platform/demangled.hpp>
#include <genserver/sync/platform/dwarf_ranges.hpp>
#include <genserver/sync/platform/dwarf_sections.hpp>
#include <genserver/sync/platform/dwarf_unit.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace genserver::inline v0::platform {

/// Finds units by the addresses they cover or by an entry in them.
///
/// Not by .debug_aranges, which clang does not write, but by the units themselves.
/// Lifetime: shorter than that of the sections and of the skeleton.
class DwarfUnits {
 public:
  /// Of a split-off file `skeleton` is what has stayed in the program.
  explicit DwarfUnits(DwarfSections& sections, const DwarfUnit* skeleton = nullptr);

  /// Returns the unit whose code is at `address`, or null.
  std::shared_ptr<const DwarfUnit> covering(std::uint64_t address);
  /// Returns the unit of the entry at `offset`, or null.
  std::shared_ptr<const DwarfUnit> containing(std::uint64_t offset);
  /// Returns the unit of a split-off file that belongs to the skeleton, or null.
  std::shared_ptr<const DwarfUnit> counterpart();

  /// Returns a function's name as it is in the source, with what it is a member of.
  std::string function_name(std::uint64_t entry);

 private:
  // The entry where something is declared, after what only refers to it.
  struct Declaration {
    std::shared_ptr<const DwarfUnit> unit;
    std::uint64_t entry;
    std::string_view name;
    std::string_view linkage_name;
  };

  Declaration find_declaration(std::uint64_t entry);
  std::string scope_of(const DwarfUnit& unit, std::uint64_t entry);
  std::string find_name(std::uint64_t entry);
  std::string scope_name(std::uint64_t entry);
  std::shared_ptr<const DwarfUnit> read(std::uint64_t offset);

  DwarfSections* sections_;
  const DwarfUnit* skeleton_;
  std::vector<std::uint64_t> offsets_{};  // of all units
  AddressSpans spans_{};                  // their place is the root of a unit
  std::uint64_t counterpart_ = 0;         // of the skeleton, if there is one
  std::vector<std::shared_ptr<const DwarfUnit>> recent_{};
  std::unordered_map<std::uint64_t, std::string> names_{};  // found already, by the entry
};

inline DwarfUnits::DwarfUnits(DwarfSections& sections, const DwarfUnit* skeleton)
    : sections_{&sections}, skeleton_{skeleton} {
  Cursor section = sections.entries;
  while (!section.is_at_end()) {
    const DwarfUnit unit{sections, section, skeleton};
    if (!unit.is_good()) continue;
    offsets_.push_back(unit.offset());
    if (skeleton == nullptr) append_spans(unit, unit.root(), spans_);
    const bool is_counterpart = skeleton != nullptr && skeleton->split_id() == unit.split_id();
    if (is_counterpart) counterpart_ = unit.root().offset;
  }
  sort(spans_);
}

inline std::shared_ptr<const DwarfUnit> DwarfUnits::covering(std::uint64_t address) {
  const AddressSpan* span = find_span(spans_, address);
  return span == nullptr ? nullptr : containing(span->place);
}

inline std::shared_ptr<const DwarfUnit> DwarfUnits::counterpart() {
  return counterpart_ == 0 ? nullptr : containing(counterpart_);
}

inline std::shared_ptr<const DwarfUnit> DwarfUnits::containing(std::uint64_t offset) {
  const auto next = std::upper_bound(offsets_.begin(), offsets_.end(), offset);
  if (next == offsets_.begin()) return nullptr;
  auto unit = read(*std::prev(next));
  return unit->contains(offset) ? unit : nullptr;
}

inline std::shared_ptr<const DwarfUnit> DwarfUnits::read(std::uint64_t offset) {
  for (const auto& unit : recent_) {
    if (unit->offset() == offset) return unit;
  }
  constexpr std::size_t most = 32;  // with link-time optimisation one leads to many others
  if (recent_.size() == most) recent_.erase(recent_.begin());
  Cursor section = moved(sections_->entries, offset);
  auto unit = std::make_shared<DwarfUnit>(*sections_, section, skeleton_);
  unit->read_abbreviations();
  recent_.push_back(unit);
  return unit;
}

inline DwarfUnits::Declaration DwarfUnits::find_declaration(std::uint64_t entry) {
  Declaration found{containing(entry), entry, {}, {}};
  for (int hops = 0; found.unit != nullptr && hops < 16; ++hops) {
    Cursor cursor = found.unit->at(found.entry);
    DwarfEntry at;
    if (!found.unit->open(cursor, at)) break;
    found.unit->read(cursor, at);
    if (found.linkage_name.empty()) {
      found.linkage_name = found.unit->text(at[DwarfAttribute::linkage_name]);
    }
    if (found.name.empty()) found.name = found.unit->text(at[DwarfAttribute::name]);
    const bool is_copy = at.has(DwarfAttribute::origin);
    const auto next =
        found.unit->reference(at[is_copy ? DwarfAttribute::origin : DwarfAttribute::declaration]);
    auto unit = next ? containing(*next) : nullptr;
    if (unit == nullptr) break;
    found.unit = std::move(unit);
    found.entry = *next;
  }
  return found;
}

inline std::string DwarfUnits::function_name(std::uint64_t entry) {
  constexpr std::size_t most_names = 4096;  // then it begins anew
  if (const auto known = names_.find(entry); known != names_.end()) return known->second;
  if (names_.size() == most_names) names_.clear();
  return names_.emplace(entry, find_name(entry)).first->second;
}

inline std::string DwarfUnits::find_name(std::uint64_t entry) {
  const Declaration found = find_declaration(entry);
  if (!found.linkage_name.empty()) return demangled(found.linkage_name);
  if (found.name.empty() || found.name.starts_with("_Z")) return demangled(found.name);
  return demangled(scope_of(*found.unit, found.entry).append(found.name));
}

inline std::string DwarfUnits::scope_name(std::uint64_t entry) {
  const Declaration found = find_declaration(entry);
  if (found.unit == nullptr) return {};
  if (!found.name.empty()) return std::string{found.name} + "::";
  Cursor cursor = found.unit->at(found.entry);
  DwarfEntry at;
  const bool is_open = found.unit->open(cursor, at);
  return is_open && at.tag == DwarfTag::name_space ? "(anonymous namespace)::" : "";
}

// Entries do not know what they are in, so this goes there from the root.
inline std::string DwarfUnits::scope_of(const DwarfUnit& unit, std::uint64_t entry) {
  constexpr std::size_t most_scopes = 100;
  std::vector<std::uint64_t> around;
  Cursor cursor = unit.at_root();
  for (DwarfEntry at; unit.open(cursor, at) && at.offset < entry;) {
    if (at.tag == DwarfTag::none && !around.empty()) around.pop_back();
    unit.read(cursor, at);
    if (!at.has_children) continue;
    const auto sibling = unit.reference(at[DwarfAttribute::sibling]);
    const bool is_before = sibling && *sibling <= entry;
    if (is_before && unit.skip_children(cursor, at)) continue;
    if (around.size() == most_scopes) return {};
    around.push_back(at.offset);
  }
  std::string scope;
  constexpr std::size_t most_letters = 4096;
  for (std::size_t depth = 1; depth < around.size() && scope.size() < most_letters; ++depth) {
    scope += scope_name(around[depth]);
  }
  return scope;
}

}  // namespace genserver::v0::platform
