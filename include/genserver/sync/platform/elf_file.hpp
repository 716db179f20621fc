// SPDX-License-Identifier: BSL-1.0
// A program or library file, mapped for reading, with every read bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace genserver::inline v0::platform {

/// The file's bytes; empty if it cannot be read or is no ELF file of this machine's word size.
class ElfFile {
 public:
  using Header = ElfW(Ehdr);
  using Section = ElfW(Shdr);

  ElfFile() noexcept = default;
  explicit ElfFile(const char* path) noexcept;
  ~ElfFile() {
    if (start_ != nullptr) ::munmap(start_, size_);
  }
  ElfFile(ElfFile&& other) noexcept
      : start_{std::exchange(other.start_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
  ElfFile& operator=(ElfFile&& other) noexcept {
    std::swap(start_, other.start_);
    std::swap(size_, other.size_);
    return *this;
  }

  [[nodiscard]] bool is_open() const noexcept { return start_ != nullptr; }

  /// Returns the first section of a type, or the one with a name.
  [[nodiscard]] std::optional<Section> section_of_type(std::uint32_t type) const noexcept;
  [[nodiscard]] std::optional<Section> section_named(std::string_view name) const noexcept;
  [[nodiscard]] std::optional<Section> section(std::size_t index) const noexcept;

  /// Reads entry `index` of the table that a section contains.
  template <class Entry>
  [[nodiscard]] std::optional<Entry> entry(const Section& table, std::size_t index) const noexcept {
    if (table.sh_type == SHT_NOBITS || index >= table.sh_size / sizeof(Entry)) return std::nullopt;
    return read<Entry>(table.sh_offset + index * sizeof(Entry));
  }
  /// Returns the string at `offset` in a string table; it ends with the table at the latest.
  [[nodiscard]] std::string_view string(const Section& table, std::size_t offset) const noexcept;
  /// Returns what the file holds of a section; nothing if that is not all there.
  [[nodiscard]] std::string_view bytes(const Section& section) const noexcept;
  /// Returns the whole file.
  [[nodiscard]] std::string_view bytes() const noexcept {
    return {static_cast<const char*>(start_), size_};
  }

  [[nodiscard]] Header header() const noexcept { return *read<Header>(0); }
  /// Returns whether the file has these bytes at `offset`.
  [[nodiscard]] bool has_bytes(std::size_t offset, const void* bytes,
                               std::size_t size) const noexcept {
    return offset <= size_ && size <= size_ - offset && std::memcmp(at(offset), bytes, size) == 0;
  }

 private:
  [[nodiscard]] const char* at(std::size_t offset) const noexcept {
    return static_cast<const char*>(start_) + offset;
  }
  template <class Value>
  [[nodiscard]] std::optional<Value> read(std::uint64_t offset) const noexcept {
    if (size_ < sizeof(Value) || offset > size_ - sizeof(Value)) return std::nullopt;
    Value value;
    std::memcpy(&value, at(static_cast<std::size_t>(offset)), sizeof value);
    return value;
  }

  void* start_ = nullptr;
  std::size_t size_ = 0;
};

inline ElfFile::ElfFile(const char* path) noexcept {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  struct stat status {};
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
      status.st_size >= static_cast<off_t>(sizeof(Header))) {
    size_ = static_cast<std::size_t>(status.st_size);
    start_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    if (start_ == MAP_FAILED) start_ = nullptr;
  }
  ::close(file);
  if (start_ == nullptr) return;
  const Header header = this->header();
  const int word_size = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != word_size ||
      header.e_shentsize != sizeof(Section)) {
    ::munmap(std::exchange(start_, nullptr), size_);
  }
}

inline std::optional<ElfFile::Section> ElfFile::section(std::size_t index) const noexcept {
  if (!is_open() || index >= header().e_shnum) return std::nullopt;
  return read<Section>(header().e_shoff + index * sizeof(Section));
}

inline std::optional<ElfFile::Section> ElfFile::section_of_type(std::uint32_t type) const noexcept {
  for (std::size_t index = 0;; ++index) {
    const auto found = section(index);
    if (!found || found->sh_type == type) return found;
  }
}

inline std::optional<ElfFile::Section> ElfFile::section_named(
    std::string_view name) const noexcept {
  if (!is_open()) return std::nullopt;
  const auto names = section(header().e_shstrndx);
  if (!names) return std::nullopt;
  for (std::size_t index = 0;; ++index) {
    const auto found = section(index);
    if (!found || string(*names, found->sh_name) == name) return found;
  }
}

inline std::string_view ElfFile::string(const Section& table, std::size_t offset) const noexcept {
  const std::string_view all = table.sh_type == SHT_STRTAB ? bytes(table) : std::string_view{};
  if (offset >= all.size()) return {};
  return {all.data() + offset, ::strnlen(all.data() + offset, all.size() - offset)};
}

inline std::string_view ElfFile::bytes(const Section& section) const noexcept {
  if (section.sh_type == SHT_NOBITS || section.sh_offset > size_ ||
      section.sh_size > size_ - section.sh_offset) {
    return {};
  }
  return bytes().substr(section.sh_offset, section.sh_size);
}

}  // namespace genserver::v0::platform
