// SPDX-License-Identifier: BSL-1.0
// Finds the functions, files and lines of addresses in this process.
#pragma once

#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/debug_file.hpp>
#include <genserver/sync/platform/demangled.hpp>
#include <genserver/sync/platform/dwarf.hpp>
#include <genserver/sync/platform/elf_file.hpp>
#include <genserver/sync/platform/elf_symbols.hpp>
#include <genserver/sync/platform/stack_memory.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>

namespace genserver::inline v0::platform {

/// Makes frames from addresses; keeps what it has read.
///
/// Threads: any; each call holds a lock of its own. It calls nothing that takes the loader's lock.
class Symbolizer {
 public:
  /// Never destroyed, so that it works to the very end of the program.
  [[gnu::visibility("default")]] static Symbolizer& instance() {
    static auto& symbolizer = *new Symbolizer;
    return symbolizer;
  }

  /// Adds the frames at `address`, innermost first: what was inlined there and the function itself.
  /// If there are no lines, but for the system's libraries, the note says why.
  ///
  /// Blocks: while another thread is in here.
  void append(std::uintptr_t address, StackTrace& trace);

 private:
  struct Module {
    std::string name{};
    ElfSymbols symbols{};
    std::unique_ptr<Dwarf> lines{};  // null if there are none, or nobody wants them
    std::string complaint{};         // why there are none
  };

  Module& module_of(const dl_find_object& object, std::uintptr_t& bias);
  static Module read(const char* source, const std::string& path, const void* start);

  std::mutex mutex_{};
  // By bias and path, so that a library loaded later at the same place is another one. Guarded by
  // mutex_.
  std::map<std::pair<std::uintptr_t, std::string>, Module> modules_{};
};

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

// Says it once, not of each frame.
inline void complain(std::string_view complaint, std::string& note) {
  if (note.find(complaint) != std::string::npos) return;
  note.append(note.empty() ? "" : "; ").append(complaint);
}

}  // namespace detail

inline Symbolizer::Module& Symbolizer::module_of(const dl_find_object& object,
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
  return modules_.emplace(key, read(source, path, object.dlfo_map_start)).first->second;
}

inline Symbolizer::Module Symbolizer::read(const char* source, const std::string& path,
                                           const void* start) {
  ElfFile file = detail::same_file(source, start);
  Module module;
  module.name = path.substr(path.find_last_of('/') + 1);
  Frame any;
  any.module = module.name;
  if (is_library_frame(any)) {  // nobody looks at its lines
    module.symbols = ElfSymbols{std::move(file)};
    return module;
  }
  const bool is_whole = file.section_named(".debug_info") || file.section_named(".zdebug_info");
  const auto open = [&] {
    return is_whole ? detail::same_file(source, start) : find_debug_file(file, path);
  };
  auto lines = std::make_unique<Dwarf>(open(), path);
  if (lines->is_empty()) {
    const char* why = !file.is_open()          ? " is not the file that was loaded"
                      : lines->is_unreadable() ? " has its debug information in an unknown packing"
                                               : " has no debug information";
    module.complaint = "no line numbers: " + module.name + why;
  } else {
    module.lines = std::move(lines);
  }
  if (!is_whole && !file.section_of_type(SHT_SYMTAB)) {
    ElfFile debug = open();
    if (debug.section_of_type(SHT_SYMTAB)) file = std::move(debug);
  }
  module.symbols = ElfSymbols{std::move(file)};
  return module;
}

inline void Symbolizer::append(std::uintptr_t address, StackTrace& trace) {
  Frame frame;
  frame.address = address;
  std::scoped_lock lock{mutex_};
  dl_find_object object{};
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) {
    return trace.frames.push_back(std::move(frame));
  }
  std::uintptr_t bias = 0;
  Module& module = module_of(object, bias);
  frame.module = module.name;
  frame.offset = frame.address - bias;
  const std::string_view name = module.symbols.name_at(frame.offset);
  frame.function = demangled(name.substr(0, name.find('@')));  // read@@GLIBC_2.2.5
  std::string_view complaint = module.complaint;
  if (module.lines == nullptr) {
    trace.frames.push_back(std::move(frame));
  } else {
    complaint = module.lines->append(std::move(frame), trace.frames);
  }
  detail::complain(complaint, trace.note);
}

}  // namespace genserver::v0::platform
