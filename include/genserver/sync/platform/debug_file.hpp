// SPDX-License-Identifier: BSL-1.0
// The file to which the debug information of a program or library was moved.
#pragma once

#include <genserver/sync/platform/elf_file.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace genserver::inline v0::platform {

/// Returns the bytes that only this build of a file has, or nothing.
inline std::string_view build_id(const ElfFile& file) noexcept;

/// Looks where distributions and debuggers put such files; the result is closed if there is none.
/// `path` is where the program or library itself is.
inline ElfFile find_debug_file(const ElfFile& program, const std::string& path);

namespace detail {

inline constexpr const char* debug_folder = "/usr/lib/debug";

// The checksum of IEEE 802.3, as zlib and Ethernet use it.
inline std::uint32_t checksum(std::string_view bytes) noexcept {
  std::uint32_t table[256];
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    table[byte] = byte;
    for (int bit = 0; bit < 8; ++bit) {
      table[byte] = table[byte] >> 1U ^ ((table[byte] & 1U) != 0 ? 0xedb88320U : 0U);
    }
  }
  std::uint32_t sum = 0xffffffff;
  for (const char byte : bytes)
    sum = sum >> 8U ^ table[(sum ^ static_cast<unsigned>(byte)) & 0xffU];
  return ~sum;
}

inline std::string build_id_path(std::string_view id) {
  constexpr const char* digits = "0123456789abcdef";
  std::string path = std::string{debug_folder} + "/.build-id/";
  for (std::size_t at = 0; at < id.size(); ++at) {
    const auto byte = static_cast<unsigned char>(id[at]);
    path += digits[byte >> 4U];
    path += digits[byte & 15U];
    if (at == 0) path += '/';
  }
  return path + ".debug";
}

}  // namespace detail

inline std::string_view build_id(const ElfFile& file) noexcept {
  const auto section = file.section_named(".note.gnu.build-id");
  if (!section) return {};
  std::string_view note = file.bytes(*section);
  constexpr std::size_t head = 16;  // three numbers and the name GNU
  return note.size() > head ? note.substr(head) : std::string_view{};
}

inline ElfFile find_debug_file(const ElfFile& program, const std::string& path) {
  const std::string_view id = build_id(program);
  if (!id.empty()) {
    ElfFile found{detail::build_id_path(id).c_str()};
    if (found.is_open() && build_id(found) == id) return found;
  }
  const auto section = program.section_named(".gnu_debuglink");
  const std::string_view link = section ? program.bytes(*section) : std::string_view{};
  const std::string_view name = link.substr(0, link.find('\0'));
  std::uint32_t sum = 0;
  if (name.empty() || link.size() < name.size() + 1 + sizeof sum) return ElfFile{};
  std::memcpy(&sum, link.data() + link.size() - sizeof sum, sizeof sum);
  const std::string folder = path.substr(0, path.find_last_of('/') + 1);
  for (std::string place : {folder, folder + ".debug/", detail::debug_folder + folder}) {
    ElfFile found{place.append(name).c_str()};
    if (!found.is_open()) continue;
    const bool is_same =
        id.empty() ? detail::checksum(found.bytes()) == sum : build_id(found) == id;
    if (is_same) return found;
  }
  return ElfFile{};
}

}  // namespace genserver::v0::platform
