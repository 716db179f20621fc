// SPDX-License-Identifier: BSL-1.0
// DbgHelp, the library of Windows that reads PDB files and export tables.
#pragma once

#if defined(_WIN32)

#include <genserver/base/stack_trace.hpp>
#include <genserver/sync/platform/windows_api.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace genserver::inline v0::platform {

namespace windows {

extern "C" {
__declspec(dllimport) Module __stdcall LoadLibraryExW(const wchar_t* name, Handle file, Word flags);
}

}  // namespace windows

/// A session with DbgHelp, loaded when it is first needed.
///
/// Threads: one at a time; DbgHelp itself demands it, and of all who use it in the process.
class DbgHelp {
 public:
  /// A name, and where what it names begins; the size is 0 if that is not known.
  struct Name {
    std::string_view text{};  // valid until the next call
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
  };

  /// Blocks: while a library is being loaded or freed anywhere.
  DbgHelp();
  DbgHelp(const DbgHelp&) = delete;
  DbgHelp& operator=(const DbgHelp&) = delete;

  /// Has the names of a module read, once, before they are asked for.
  void add(windows::Module module, const wchar_t* path);
  /// Returns the nearest name at or before `address`; empty if there is none.
  [[nodiscard]] Name name_at(std::uint64_t address);
  /// Fills in file and line, if a PDB tells them.
  void find_line(Frame& frame) const;

 private:
  // SYMBOL_INFO
  struct Symbol {
    std::uint32_t own_size;
    std::uint32_t type;
    std::uint64_t reserved[2];
    std::uint32_t index;
    std::uint32_t size;
    std::uint64_t module;
    std::uint32_t flags;
    std::uint64_t value;
    std::uint64_t address;
    std::uint32_t number;
    std::uint32_t scope;
    std::uint32_t tag;
    std::uint32_t name_size;
    std::uint32_t name_capacity;
    char name[1024];
  };
  static constexpr std::uint32_t symbol_size = 88;  // with one byte of the name, and padding
  static_assert(offsetof(Symbol, name) == 84);

  // IMAGEHLP_LINE64
  struct Line {
    std::uint32_t own_size;
    void* key;
    std::uint32_t number;
    const char* file;
    std::uint64_t address;
  };
  static_assert(sizeof(Line) == 40);

  using Initialize = int __stdcall(windows::Handle process, const char* path, int is_for_all);
  using SetOptions = windows::Word __stdcall(windows::Word options);
  using GetOptions = windows::Word __stdcall();
  using LoadModule = std::uint64_t __stdcall(windows::Handle process, windows::Handle file,
                                             const wchar_t* path, const wchar_t* name,
                                             std::uint64_t base, windows::Word size, void* extra,
                                             windows::Word flags);
  using FromAddress = int __stdcall(windows::Handle process, std::uint64_t address,
                                    std::uint64_t* displacement, Symbol* symbol);
  using LineFromAddress = int __stdcall(windows::Handle process, std::uint64_t address,
                                        windows::Word* displacement, Line* line);

  windows::Handle process_ = nullptr;  // null: there is no session
  LoadModule* load_module_ = nullptr;
  FromAddress* from_address_ = nullptr;
  LineFromAddress* line_from_address_ = nullptr;
  Symbol symbol_{};  // of the last answer
};

inline DbgHelp::DbgHelp() {
  constexpr windows::Word from_system_folder = 0x800;
  // Undecorated names, read when needed, with lines; no dialogs.
  constexpr windows::Word options = 0x2 | 0x4 | 0x10 | 0x200 | 0x80000;
  const auto library = windows::LoadLibraryExW(L"dbghelp.dll", nullptr, from_system_folder);
  const auto initialize = windows::find_function<Initialize>(library, "SymInitialize");
  const auto set_options = windows::find_function<SetOptions>(library, "SymSetOptions");
  const auto get_options = windows::find_function<GetOptions>(library, "SymGetOptions");
  load_module_ = windows::find_function<LoadModule>(library, "SymLoadModuleExW");
  from_address_ = windows::find_function<FromAddress>(library, "SymFromAddr");
  line_from_address_ = windows::find_function<LineFromAddress>(library, "SymGetLineFromAddr64");
  if (initialize == nullptr || set_options == nullptr || get_options == nullptr ||
      load_module_ == nullptr || from_address_ == nullptr || line_from_address_ == nullptr) {
    return;
  }
  // A session belongs to a handle, and the program may have one of its own for the usual handle.
  constexpr windows::Word same_access = 2;
  const windows::Handle process = windows::GetCurrentProcess();
  windows::DuplicateHandle(process, process, process, &process_, 0, 0, same_access);
  set_options(get_options() | options);
  // Only where the files are: the usual path may lead to a server in the network.
  if (process_ != nullptr && initialize(process_, "", 0) == 0) process_ = nullptr;
}

inline void DbgHelp::add(windows::Module module, const wchar_t* path) {
  if (process_ == nullptr) return;
  load_module_(process_, nullptr, path, nullptr, reinterpret_cast<std::uintptr_t>(module), 0,
               nullptr, 0);
}

inline DbgHelp::Name DbgHelp::name_at(std::uint64_t address) {
  if (process_ == nullptr) return {};
  symbol_ = {};
  symbol_.own_size = symbol_size;
  symbol_.name_capacity = sizeof symbol_.name;
  std::uint64_t displacement = 0;
  if (from_address_(process_, address, &displacement, &symbol_) == 0) return {};
  const std::string_view name{symbol_.name, sizeof symbol_.name};
  return {name.substr(0, name.find('\0')), symbol_.address, symbol_.size};
}

inline void DbgHelp::find_line(Frame& frame) const {
  if (process_ == nullptr) return;
  Line line{};
  line.own_size = sizeof line;
  windows::Word displacement = 0;
  if (line_from_address_(process_, frame.address, &displacement, &line) == 0) return;
  if (line.file == nullptr) return;
  frame.file = line.file;
  frame.line = line.number;
}

}  // namespace genserver::v0::platform

#endif
