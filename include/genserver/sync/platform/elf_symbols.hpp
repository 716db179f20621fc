// SPDX-License-Identifier: BSL-1.0
// Names addresses by the symbol tables of the files they came from.
#pragma once

#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/elf_file.hpp>
#include <genserver/sync/platform/stack_memory.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <cxxabi.h>
#include <dlfcn.h>
#include <unistd.h>

namespace genserver::platform {

/// The functions of one program or library, sorted by address.
class ElfSymbols {
 public:
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

/// Fills in module, offset and function of frames; keeps what it has read.
///
/// Threads: any; each call holds a lock of its own. It calls nothing that takes the loader's lock.
class Symbolizer {
 public:
  /// Never destroyed, so that it works to the very end of the program.
  static Symbolizer& instance() {
    static auto& symbolizer = *new Symbolizer;
    return symbolizer;
  }

  /// Blocks: while another thread is in here.
  void name(Frame& frame);

 private:
  struct Module {
    std::string name;
    ElfSymbols symbols;
  };

  const Module& module_of(const dl_find_object& object, std::uintptr_t& bias);

  std::mutex mutex_{};
  // By bias and path, so that a library loaded later at the same place is another one. Guarded by
  // mutex_.
  std::map<std::pair<std::uintptr_t, std::string>, Module> modules_{};
};

/// Returns the name as it is in the source, or as it is if it is none of C++.
inline std::string demangled(std::string_view name);

namespace detail {

// Copies a text of the loader, which may be taken away at this moment.
inline std::string text_if_mapped(const char* text) {
  std::array<char, 4096> copy{};
  const auto from = reinterpret_cast<std::uintptr_t>(text);
  std::size_t size = 0;
  // By pages, since the text may end right before one that is not there.
  while (from != 0 && size < copy.size() - 1) {
    const std::size_t to_page_end = 4096 - (from + size) % 4096;
    const std::size_t part = std::min(to_page_end, copy.size() - 1 - size);
    const std::size_t copied = copy_if_mapped(copy.data() + size, from + size, part);
    size += copied;
    if (copied != part || ::strnlen(copy.data(), size) < size) break;
  }
  return copy.data();
}

inline std::string program_path() {
  std::array<char, 4096> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  return length > 0 ? path.data() : "program";
}

// A library that was replaced on disk since it was loaded would give wrong names: the headers that
// are in memory must be those in the file.
inline ElfFile same_file(const char* path, const void* start) {
  ElfFile file{path};
  ElfW(Ehdr) header{};
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  if (!file.is_open() || copy_if_mapped(&header, address, sizeof header) != sizeof header ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return file;  // nothing to compare with
  }
  std::array<char, 32 * sizeof(ElfW(Phdr))> segments{};
  const std::size_t size = std::min(segments.size(), header.e_phnum * sizeof(ElfW(Phdr)));
  const std::size_t copied = copy_if_mapped(segments.data(), address + header.e_phoff, size);
  const bool is_same = file.has_bytes(0, &header, sizeof header) &&
                       file.has_bytes(header.e_phoff, segments.data(), copied);
  return is_same ? std::move(file) : ElfFile{};
}

}  // namespace detail

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

inline std::string demangled(std::string_view name) {
  std::string text{name.substr(0, name.find('@'))};  // read@@GLIBC_2.2.5
  if (!text.starts_with("_Z")) return text;
  int status = 0;
  char* readable = abi::__cxa_demangle(text.c_str(), nullptr, nullptr, &status);
  if (readable == nullptr) return text;
  text = readable;
  std::free(readable);
  return text;
}

inline const Symbolizer::Module& Symbolizer::module_of(const dl_find_object& object,
                                                       std::uintptr_t& bias) {
  // What the loader keeps is read by way of the kernel: the library may be closed at this moment.
  link_map map{};
  const auto address = reinterpret_cast<std::uintptr_t>(object.dlfo_link_map);
  if (copy_if_mapped(&map, address, sizeof map) != sizeof map) map = *object.dlfo_link_map;
  bias = static_cast<std::uintptr_t>(map.l_addr);
  std::string path = detail::text_if_mapped(map.l_name);
  const bool is_program = path.empty();
  if (is_program) path = detail::program_path();

  const std::pair key{bias, path};
  const auto known = modules_.find(key);
  if (known != modules_.end()) return known->second;
  const char* source = is_program ? "/proc/self/exe" : path.c_str();
  ElfSymbols symbols{detail::same_file(source, object.dlfo_map_start)};
  std::string name = path.substr(path.find_last_of('/') + 1);
  return modules_.emplace(key, Module{std::move(name), std::move(symbols)}).first->second;
}

inline void Symbolizer::name(Frame& frame) {
  std::scoped_lock lock{mutex_};
  dl_find_object object{};
  if (_dl_find_object(reinterpret_cast<void*>(frame.address), &object) != 0) return;
  std::uintptr_t bias = 0;
  const Module& module = module_of(object, bias);
  frame.module = module.name;
  frame.offset = frame.address - bias;
  frame.function = demangled(module.symbols.name_at(frame.offset));
}

}  // namespace genserver::platform
