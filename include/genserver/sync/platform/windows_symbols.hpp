// SPDX-License-Identifier: BSL-1.0
// Names addresses on Windows: by the file's own symbol table, which GNU linkers write, and by
// DbgHelp for what has none.
#pragma once

#if defined(_WIN32)

#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/dbghelp.hpp>
#include <genserver/sync/platform/demangled.hpp>
#include <genserver/sync/platform/pe_file.hpp>
#include <genserver/sync/platform/windows_api.hpp>
#include <genserver/sync/platform/windows_walk.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace genserver::inline v0::platform {

namespace windows {

extern "C" {
__declspec(dllimport) int __stdcall GetModuleHandleExW(Word flags, const wchar_t* name,
                                                       Module* module);
__declspec(dllimport) Word
    __stdcall GetModuleFileNameW(Module module, wchar_t* path, Word capacity);
__declspec(dllimport) int __stdcall WideCharToMultiByte(unsigned code_page, Word flags,
                                                        const wchar_t* wide, int wide_size,
                                                        char* text, int size,
                                                        const char* replacement, int* is_replaced);
}

}  // namespace windows

/// Fills in module, offset, function and line of frames; keeps what it has read.
///
/// Threads: any; each call holds a lock of its own.
class Symbolizer {
 public:
  /// Never destroyed, so that it works to the very end of the program.
  [[gnu::visibility("default")]] static Symbolizer& instance() {
    static auto& symbolizer = *new Symbolizer;
    return symbolizer;
  }

  /// Blocks: while another thread is in here, and as DbgHelp.
  void name(Frame& frame);

 private:
  struct Module {
    std::string name{};
    PeFile file{};
    std::vector<PeFile::Function> functions{};
  };

  const Module& module_at(windows::Module place);
  static std::string_view name_in(const Module& module, std::uint64_t base, std::uint64_t address);
  void ask_dbghelp(Frame& frame);

  std::mutex mutex_{};
  // By place and path, so that a library loaded later at the same place is another one. Guarded by
  // mutex_, as is the session.
  std::map<std::pair<windows::Module, std::wstring>, Module> modules_{};
  std::optional<DbgHelp> dbghelp_{};
};

namespace detail {

inline std::wstring path_of(windows::Module module) {
  std::wstring path(32768, L'\0');  // the longest that Windows knows
  path.resize(
      windows::GetModuleFileNameW(module, path.data(), static_cast<windows::Word>(path.size())));
  return path;
}

inline std::string narrow(std::wstring_view wide) {
  std::string text(3 * wide.size(), '\0');  // at most three bytes for each
  const int size =
      windows::WideCharToMultiByte(windows::utf8, 0, wide.data(), static_cast<int>(wide.size()),
                                   text.data(), static_cast<int>(text.size()), nullptr, nullptr);
  text.resize(static_cast<std::size_t>(size));
  return text;
}

// What has a place in the unwind tables has it whole, so a name that lies in another function than
// the address, or in none, is only the nearest one and a wrong one.
inline bool are_in_one_function(std::uint64_t left, std::uint64_t right) noexcept {
  std::uint64_t image = 0;
  return function_entry(left, image) == function_entry(right, image);
}

}  // namespace detail

inline const Symbolizer::Module& Symbolizer::module_at(windows::Module place) {
  std::pair key{place, detail::path_of(place)};
  const auto known = modules_.find(key);
  if (known != modules_.end()) return known->second;
  const std::wstring& path = key.second;
  Module module;
  module.name = detail::narrow(std::wstring_view{path}.substr(path.find_last_of(L"\\/") + 1));
  module.file = PeFile{path.c_str()};
  if (module.file.is_of(reinterpret_cast<std::uintptr_t>(place))) {
    module.functions = module.file.functions();
  } else {
    module.file = {};
  }
  if (module.functions.empty()) {
    if (!dbghelp_) dbghelp_.emplace();
    dbghelp_->add(place, path.c_str());
  }
  return modules_.emplace(std::move(key), std::move(module)).first->second;
}

inline std::string_view Symbolizer::name_in(const Module& module, std::uint64_t base,
                                            std::uint64_t address) {
  const auto next = std::upper_bound(
      module.functions.begin(), module.functions.end(), address - base,
      [](std::uint64_t place, const PeFile::Function& function) { return place < function.begin; });
  if (next == module.functions.begin()) return {};
  const PeFile::Function& function = *(next - 1);
  if (!detail::are_in_one_function(base + function.begin, address)) return {};
  return module.file.name(function);
}

inline void Symbolizer::ask_dbghelp(Frame& frame) {
  const DbgHelp::Name name = dbghelp_->name_at(frame.address);
  const bool is_inside = frame.address - name.begin < name.size;
  if (is_inside || detail::are_in_one_function(name.begin, frame.address)) {
    frame.function = demangled(name.text);
  }
  dbghelp_->find_line(frame);
}

inline void Symbolizer::name(Frame& frame) {
  constexpr windows::Word by_address_without_keeping = 4 | 2;
  const std::scoped_lock lock{mutex_};
  windows::Module place = nullptr;
  if (windows::GetModuleHandleExW(by_address_without_keeping,
                                  reinterpret_cast<const wchar_t*>(frame.address), &place) == 0) {
    return;  // made at run time
  }
  const Module& module = module_at(place);
  const auto base = reinterpret_cast<std::uintptr_t>(place);
  frame.module = module.name;
  frame.offset = frame.address - base + static_cast<std::uintptr_t>(module.file.image_base());
  if (module.functions.empty()) return ask_dbghelp(frame);
  frame.function = demangled(name_in(module, base, frame.address));
}

}  // namespace genserver::v0::platform

#endif
