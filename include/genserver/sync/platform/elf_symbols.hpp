// SPDX-License-Identifier: BSL-1.0
// The functions of a program or library by the linker's names.
#pragma once

#include <genserver/sync/platform/elf_file.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <elf.h>

namespace genserver::inline v0::platform {

/// The functions of one program or library, sorted by address.
class ElfSymbols {
 public:
  ElfSymbols() = default;
  /// Reads .symtab, or .dynsym where the file was stripped.
  explicit ElfSymbols(ElfFile file);

  /// Returns the linker's name of the function that covers `address` (in the file), or nothing:
  /// the nearest name below would be a wrong one.
  [[nodiscard]] std::string_view name_at(std::uintptr_t address) const noexcept;

 private:
  struct Function {
    std::uintptr_t begin;
    std::uint32_t size;
    std::uint32_t name;  // in names_
    bool is_global;
  };

  ElfFile file_;
  ElfFile::Section names_{};
  std::vector<Function> functions_{};  // sorted by begin; of equal ones the best name is last
};

inline ElfSymbols::ElfSymbols(ElfFile file) : file_{std::move(file)} {
  auto table = file_.section_of_type(SHT_SYMTAB);
  if (!table) table = file_.section_of_type(SHT_DYNSYM);
  if (!table) return;
  const auto names = file_.section(table->sh_link);
  if (!names) return;
  names_ = *names;
  for (std::size_t index = 0;; ++index) {
    const auto symbol = file_.entry<ElfW(Sym)>(*table, index);
    if (!symbol) break;
    const unsigned type = ELF64_ST_TYPE(symbol->st_info);
    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol->st_shndx == SHN_UNDEF) continue;
    functions_.push_back({static_cast<std::uintptr_t>(symbol->st_value),
                          static_cast<std::uint32_t>(std::min<std::uint64_t>(symbol->st_size, ~0U)),
                          symbol->st_name, ELF64_ST_BIND(symbol->st_info) != STB_LOCAL});
  }
  // Of two names for one place the one that users know: global, and with fewer underscores.
  const auto rank = [this](const Function& function) {
    const std::string_view name = file_.string(names_, function.name);
    const std::size_t first = name.find_first_not_of('_');
    return std::pair{function.is_global, name.starts_with("_Z") ? 99 : 99 - std::min(first, 99UL)};
  };
  std::sort(functions_.begin(), functions_.end(), [&](const Function& left, const Function& right) {
    if (left.begin != right.begin) return left.begin < right.begin;
    return rank(left) < rank(right);
  });
}

inline std::string_view ElfSymbols::name_at(std::uintptr_t address) const noexcept {
  auto next = std::upper_bound(
      functions_.begin(), functions_.end(), address,
      [](std::uintptr_t place, const Function& function) { return place < function.begin; });
  // A shorter function may lie in a longer one (assembly): look at a few before.
  for (int tries = 0; tries < 8 && next != functions_.begin(); ++tries) {
    --next;
    if (address - next->begin < next->size) return file_.string(names_, next->name);
  }
  return {};
}

}  // namespace genserver::v0::platform
