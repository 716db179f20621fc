// SPDX-License-Identifier: BSL-1.0
// Finds the files, lines and inlined functions of a program's addresses.
#pragma once

#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/dwarf_functions.hpp>
#include <genserver/sync/platform/dwarf_lines.hpp>
#include <genserver/sync/platform/dwarf_package.hpp>
#include <genserver/sync/platform/dwarf_sections.hpp>
#include <genserver/sync/platform/dwarf_unit.hpp>
#include <genserver/sync/platform/dwarf_units.hpp>
#include <genserver/sync/platform/elf_file.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace genserver::inline v0::platform {

/// The debug information of one program or library, as far as it has been asked for.
class Dwarf {
 public:
  /// `path` is where the program or library is; a package of split-off files is beside it.
  explicit Dwarf(ElfFile file, const std::string& path = {})
      : sections_{std::move(file)}, units_{sections_}, package_{path + ".dwp"} {}
  Dwarf(const Dwarf&) = delete;
  Dwarf& operator=(const Dwarf&) = delete;

  /// Adds the frames at `frame.offset`, innermost first: what was inlined there, and `frame` itself
  /// with its file and line. If it has no name yet it gets one too. Returns why something may be
  /// missing, or nothing.
  std::string_view append(Frame frame, std::vector<Frame>& frames);

  [[nodiscard]] bool is_empty() const noexcept { return sections_.entries.is_at_end(); }
  /// Returns whether there is something, but compressed in a way that is not known here.
  [[nodiscard]] bool is_unreadable() const noexcept { return sections_.is_unreadable(); }

 private:
  // The part of a unit's information that is in a file of its own.
  struct Split {
    Split(const std::string& path, const DwarfUnit& skeleton)
        : sections{read(path, skeleton)}, units{sections, &skeleton} {}
    static DwarfSections read(const std::string& path, const DwarfUnit& skeleton);

    DwarfSections sections;
    DwarfUnits units;
  };
  struct Unit {
    std::shared_ptr<const DwarfUnit> skeleton;  // the whole unit if it is not split
    std::unique_ptr<Split> split;
    std::shared_ptr<const DwarfUnit> whole;
    bool is_complete;
    DwarfLines lines;
    DwarfFunctions functions;
  };

  const Unit* unit_at(std::uint64_t address);
  std::unique_ptr<Split> read_split(const DwarfUnit& skeleton);
  std::unique_ptr<Unit> read(std::shared_ptr<const DwarfUnit> skeleton);
  static std::string split_path(const DwarfUnit& skeleton);

  DwarfSections sections_;
  DwarfUnits units_;
  std::string package_;
  std::vector<std::unique_ptr<Unit>> read_{};
  std::string complaint_{};  // of the first unit that is not complete
};

inline std::string_view Dwarf::append(Frame frame, std::vector<Frame>& frames) {
  sections_.allow_answer();
  const Unit* unit = unit_at(frame.offset);
  if (unit == nullptr) {
    frames.push_back(std::move(frame));
    return {};
  }
  std::string_view complaint = unit->is_complete ? std::string_view{} : complaint_;
  DwarfUnits& units = unit->split == nullptr ? units_ : unit->split->units;
  DwarfLine place = unit->lines.find(frame.offset);
  std::vector<DwarfFunction> functions = unit->functions.find(frame.offset);
  if (functions.empty()) functions.emplace_back();  // there may be lines all the same
  for (std::size_t index = functions.size(); index-- != 0;) {
    const DwarfFunction& function = functions[index];
    Frame added = frame;
    added.is_inlined = index != 0;
    if (added.is_inlined || frame.function.empty()) {
      added.function = units.function_name(function.entry);
    }
    if (place.line != 0) added.file = unit->lines.file(place.file);
    if (!added.file.empty()) added.line = place.line;
    const bool has_no_name = added.is_inlined && added.function.empty();
    if (has_no_name && sections_.file().section_named(".gnu_debugaltlink")) {
      complaint = "no names of some inlined frames: they are in a file of dwz, which is not read";
    }
    frames.push_back(std::move(added));
    place = {function.call_file, function.call_line};
  }
  return complaint;
}

inline const Dwarf::Unit* Dwarf::unit_at(std::uint64_t address) {
  auto skeleton = units_.covering(address);
  if (skeleton == nullptr) return nullptr;
  for (const auto& unit : read_) {
    if (unit->skeleton->offset() == skeleton->offset()) return unit.get();
  }
  return read_.emplace_back(read(std::move(skeleton))).get();
}

inline DwarfSections Dwarf::Split::read(const std::string& path, const DwarfUnit& skeleton) {
  DwarfSections sections{ElfFile{path.c_str()}, ".dwo"};
  if (!sections.unit_index.is_at_end()) select_unit(sections, skeleton.split_id());
  return sections;
}

// Its own file, or a package of them.
inline std::unique_ptr<Dwarf::Split> Dwarf::read_split(const DwarfUnit& skeleton) {
  const std::string path = split_path(skeleton);
  for (const std::string& place : {path, package_}) {
    auto split = std::make_unique<Split>(place, skeleton);
    if (split->units.counterpart() != nullptr) return split;
  }
  if (complaint_.empty()) complaint_ = "no inlined frames: cannot read " + path;
  return nullptr;
}

inline std::unique_ptr<Dwarf::Unit> Dwarf::read(std::shared_ptr<const DwarfUnit> skeleton) {
  std::unique_ptr<Split> split;
  const bool is_split = skeleton->root().has(DwarfAttribute::split_name);
  if (is_split) split = read_split(*skeleton);
  auto whole = split == nullptr ? skeleton : split->units.counterpart();
  const bool is_complete = split != nullptr || !is_split;
  return std::unique_ptr<Unit>{new Unit{skeleton, std::move(split), whole, is_complete,
                                        DwarfLines{*skeleton}, DwarfFunctions{*whole}}};
}

// The file is named as it was for the compiler, in whose folder it is.
inline std::string Dwarf::split_path(const DwarfUnit& skeleton) {
  std::string path{skeleton.text(skeleton.root()[DwarfAttribute::folder])};
  const std::string_view name = skeleton.text(skeleton.root()[DwarfAttribute::split_name]);
  if (name.starts_with('/')) path.clear();
  if (!path.empty() && !path.ends_with('/')) path += '/';
  return path.append(name);
}

}  // namespace genserver::v0::platform
