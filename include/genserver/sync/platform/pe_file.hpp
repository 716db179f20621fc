// SPDX-License-Identifier: BSL-1.0
// A program or library of Windows on disk, with the function names that GNU linkers put into it.
#pragma once

#if defined(_WIN32)

#include <genserver/sync/platform/windows_api.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace genserver::inline v0::platform {

namespace windows {

extern "C" {
__declspec(dllimport) Handle
    __stdcall CreateFileW(const wchar_t* name, Word access, Word sharing,
                          _SECURITY_ATTRIBUTES* security, Word creation, Word flags, Handle model);
__declspec(dllimport) Word __stdcall GetFileSize(Handle file, Word* high_half);
__declspec(dllimport) Handle
    __stdcall CreateFileMappingW(Handle file, _SECURITY_ATTRIBUTES* security, Word protection,
                                 Word high_size, Word low_size, const wchar_t* name);
__declspec(dllimport) void* __stdcall MapViewOfFile(Handle mapping, Word access, Word high_offset,
                                                    Word low_offset, std::size_t size);
}

}  // namespace windows

/// The headers and the symbol table of a file; empty if it cannot be read.
///
/// It is kept mapped for good: the names are in it.
class PeFile {
 public:
  PeFile() noexcept = default;
  explicit PeFile(const wchar_t* path);

  /// Returns whether it is the file from which the image at `memory` was loaded, and not one that
  /// has taken its place since.
  [[nodiscard]] bool is_of(std::uintptr_t memory) const noexcept;
  /// Returns the address for which it was linked; that of the loaded headers was overwritten.
  [[nodiscard]] std::uint64_t image_base() const noexcept { return image_base_; }

  struct Function {
    std::uint32_t begin;   // from the beginning of the image
    std::uint32_t symbol;  // from the beginning of the file
  };
  /// Returns the functions of the symbol table, sorted by address.
  [[nodiscard]] std::vector<Function> functions() const;
  [[nodiscard]] std::string_view name(const Function& function) const noexcept;

 private:
  // The record at `at`, or zeros if that is outside of the file.
  template <class Record>
  [[nodiscard]] Record read(std::size_t at) const noexcept {
    Record record{};
    const bool is_there = at <= size_ && sizeof record <= size_ - at;
    if (is_there) std::memcpy(&record, bytes_ + at, sizeof record);
    return record;
  }

  [[nodiscard]] std::string_view text(std::size_t symbol) const noexcept;

  // A local function of which only the section has a symbol: those of the runtime libraries.
  static constexpr std::string_view section_prefix = ".text$";
  static constexpr std::size_t section_size = 40;
  static constexpr std::size_t symbol_size = 18;

  const char* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t image_base_ = 0;
  std::size_t header_ = 0;    // IMAGE_FILE_HEADER
  std::size_t sections_ = 0;  // its first IMAGE_SECTION_HEADER
  std::size_t section_count_ = 0;
  std::size_t symbols_ = 0;
  std::size_t symbol_count_ = 0;
};

inline PeFile::PeFile(const wchar_t* path) {
  constexpr windows::Word read_it = 0x80000000;  // GENERIC_READ
  constexpr windows::Word share_all = 7;
  constexpr windows::Word existing = 3;   // OPEN_EXISTING
  constexpr windows::Word read_only = 2;  // PAGE_READONLY
  constexpr windows::Word map_read = 4;   // FILE_MAP_READ
  const windows::Handle file =
      windows::CreateFileW(path, read_it, share_all, nullptr, existing, 0, nullptr);
  if (reinterpret_cast<std::intptr_t>(file) == -1) return;
  const windows::Word size = windows::GetFileSize(file, nullptr);
  const windows::Handle mapping =
      windows::CreateFileMappingW(file, nullptr, read_only, 0, 0, nullptr);
  windows::CloseHandle(file);
  if (mapping == nullptr) return;
  bytes_ = static_cast<const char*>(windows::MapViewOfFile(mapping, map_read, 0, 0, 0));
  windows::CloseHandle(mapping);
  if (bytes_ == nullptr) return;
  size_ = size;

  header_ = read<std::uint32_t>(0x3c) + std::size_t{4};
  const std::size_t optional = header_ + 20;
  section_count_ = read<std::uint16_t>(header_ + 2);
  symbols_ = read<std::uint32_t>(header_ + 8);
  symbol_count_ = symbols_ == 0 ? 0 : read<std::uint32_t>(header_ + 12);
  sections_ = optional + read<std::uint16_t>(header_ + 16);
  image_base_ = read<std::uint64_t>(optional + 24);
}

inline bool PeFile::is_of(std::uintptr_t memory) const noexcept {
  const std::size_t end = sections_ + section_count_ * section_size;
  if (bytes_ == nullptr || header_ > sections_ || end > size_) return false;
  const auto* loaded = reinterpret_cast<const char*>(memory);
  // One after the other, as each says where the next one is.
  return std::memcmp(bytes_, loaded, 0x40) == 0 &&
         std::memcmp(bytes_ + header_, loaded + header_, 20) == 0 &&
         std::memcmp(bytes_ + sections_, loaded + sections_, end - sections_) == 0;
}

inline std::vector<PeFile::Function> PeFile::functions() const {
  constexpr std::uint16_t function_type = 0x20;
  std::vector<Function> functions;
  const std::size_t fitting = size_ > symbols_ ? (size_ - symbols_) / symbol_size : 0;
  const std::size_t count = std::min(symbol_count_, fitting);
  for (std::size_t index = 0; index < count; ++index) {
    const std::size_t symbol = symbols_ + index * symbol_size;
    const std::size_t section = read<std::uint16_t>(symbol + 12);  // from 1; above: no section
    const bool is_function = read<std::uint16_t>(symbol + 14) == function_type ||
                             text(symbol).starts_with(section_prefix);
    if (is_function && section - 1 < section_count_) {
      const std::size_t header = sections_ + (section - 1) * section_size;
      const auto start = read<std::uint32_t>(header + 12);
      functions.push_back(
          {start + read<std::uint32_t>(symbol + 8), static_cast<std::uint32_t>(symbol)});
    }
    index += read<std::uint8_t>(symbol + 17);  // records that belong to this one
  }
  std::sort(functions.begin(), functions.end(),
            [](const Function& left, const Function& right) { return left.begin < right.begin; });
  return functions;
}

inline std::string_view PeFile::name(const Function& function) const noexcept {
  std::string_view name = text(function.symbol);
  if (name.starts_with(section_prefix)) name.remove_prefix(section_prefix.size());
  return name;
}

inline std::string_view PeFile::text(std::size_t symbol) const noexcept {
  // Up to eight bytes in the symbol itself, or four zeros and where it is among the strings, which
  // follow the symbols.
  if (symbol + symbol_size > size_) return {};
  std::string_view text{bytes_ + symbol, 8};
  if (read<std::uint32_t>(symbol) == 0) {
    const std::size_t strings = symbols_ + symbol_count_ * symbol_size;
    const std::size_t start = strings + read<std::uint32_t>(symbol + 4);
    if (start >= size_) return {};
    text = {bytes_ + start, size_ - start};
  }
  return text.substr(0, text.find('\0'));
}

}  // namespace genserver::v0::platform

#endif
