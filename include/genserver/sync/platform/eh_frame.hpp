// SPDX-License-Identifier: BSL-1.0
// Finds what the compiler wrote about a function's frame (.eh_frame), with every read bounded.
//
// Format: Linux Standard Base 5.0, Core, chapter 10.6 (exception frames), and DWARF 5, chapter 6.4.
// Everything here is async-signal-safe: no allocation, no lock, no loader call that takes one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

namespace genserver::inline v0::platform {

/// A position in memory that does not leave its bounds; after the first failure all values are 0.
class Cursor {
 public:
  Cursor() noexcept = default;
  Cursor(std::uintptr_t position, std::uintptr_t end) noexcept
      : position_{position}, end_{end}, good_{position <= end} {}

  template <class Number>
  Number take() noexcept {
    Number number{};
    if (!reserve(sizeof number)) return number;
    std::memcpy(&number, reinterpret_cast<const void*>(position_), sizeof number);
    position_ += sizeof number;
    return number;
  }

  std::uint64_t take_unsigned() noexcept;  // LEB128
  std::int64_t take_signed() noexcept;
  /// An address in one of the encodings DW_EH_PE_...; `data_base` is the start of .eh_frame_hdr.
  std::uintptr_t take_pointer(unsigned encoding, std::uintptr_t data_base) noexcept;
  /// The next `size` bytes, which are skipped.
  Cursor take_block(std::uint64_t size) noexcept;
  void skip(std::uint64_t size) noexcept { take_block(size); }

  [[nodiscard]] bool is_good() const noexcept { return good_; }
  [[nodiscard]] bool is_at_end() const noexcept { return !good_ || position_ == end_; }
  [[nodiscard]] std::uintptr_t position() const noexcept { return position_; }
  [[nodiscard]] std::uintptr_t end() const noexcept { return end_; }
  void fail() noexcept { good_ = false; }

 private:
  bool reserve(std::uint64_t size) noexcept {
    good_ = good_ && size <= end_ - position_;
    return good_;
  }

  std::uintptr_t position_ = 0;  // position_ <= end_ while good_
  std::uintptr_t end_ = 0;
  bool good_ = true;
};

/// What .eh_frame says about one function.
struct FrameEntry {
  std::uintptr_t function_begin = 0;
  std::uintptr_t function_end = 0;
  Cursor common_rules{};  // of the CIE
  Cursor rules{};         // of the FDE
  std::uint64_t code_factor = 0;
  std::int64_t data_factor = 0;
  std::uint64_t return_column = 0;
  unsigned encoding = 0;
  std::uintptr_t data_base = 0;
  bool has_augmentation = false;
  bool is_signal_frame = false;
};

/// Where the program itself is. The handler needs it for static programs, of which the loader does
/// not tell; it is read once, before the first signal.
struct MainProgram {
  const ElfW(Phdr) * headers = nullptr;
  std::size_t header_count = 0;
  std::uintptr_t bias = 0;               // address minus the address in the file
  std::uintptr_t frames_begin = 0;       // .eh_frame, only if there is no .eh_frame_hdr
  std::uintptr_t frames_end = 0;
};

//   P1  the maker: release store ──▶ find_frame_entry(): acquire load; publishes the object.
[[gnu::visibility("default")]] inline constinit std::atomic<const MainProgram*>
    main_program{nullptr};

/// Finds the entry of the function that contains `address`, if there is one.
inline std::optional<FrameEntry> find_frame_entry(std::uintptr_t address) noexcept;

namespace detail {

inline constexpr unsigned omitted_encoding = 0xff;

// The bounds of the loaded segment that contains `address`.
inline std::optional<Cursor> segment_from(const ElfW(Phdr) * headers, std::size_t count,
                                          std::uintptr_t bias, std::uintptr_t address) noexcept {
  for (std::size_t index = 0; index < count; ++index) {
    const ElfW(Phdr)& header = headers[index];
    const std::uintptr_t begin = bias + header.p_vaddr;
    if (header.p_type == PT_LOAD && address >= begin && address - begin < header.p_filesz) {
      return Cursor{address, begin + header.p_filesz};
    }
  }
  return std::nullopt;
}

// A cursor from `address` to the end of its segment, in the module that the loader reported.
inline std::optional<Cursor> bounded(const dl_find_object& object,
                                     std::uintptr_t address) noexcept {
  const auto start = reinterpret_cast<std::uintptr_t>(object.dlfo_map_start);
  const auto* file = static_cast<const ElfW(Ehdr)*>(object.dlfo_map_start);
  if (std::memcmp(file->e_ident, ELFMAG, SELFMAG) == 0 && file->e_phentsize == sizeof(ElfW(Phdr))) {
    const auto* headers = reinterpret_cast<const ElfW(Phdr)*>(start + file->e_phoff);
    const std::uintptr_t bias = object.dlfo_link_map->l_addr;
    if (auto cursor = segment_from(headers, file->e_phnum, bias, address)) return cursor;
  }
  const MainProgram* program = main_program.load(std::memory_order_acquire);  // P1
  if (program == nullptr) return std::nullopt;
  return segment_from(program->headers, program->header_count, program->bias, address);
}

// Reads the augmentation string's values: what the letters after 'z' stand for.
inline bool read_augmentation(Cursor& cursor, const char (&letters)[8],
                              FrameEntry& entry) noexcept {
  if (letters[0] == '\0') return true;
  if (letters[0] != 'z') return false;
  entry.has_augmentation = true;
  Cursor values = cursor.take_block(cursor.take_unsigned());
  for (const char* letter = letters + 1; *letter != '\0'; ++letter) {
    if (*letter == 'R') entry.encoding = values.take<std::uint8_t>();
    if (*letter == 'L') values.skip(1);
    if (*letter == 'P') {
      const unsigned encoding = values.take<std::uint8_t>();
      values.take_pointer(encoding & 0x7fU, 0);  // the routine is not needed: not dereferenced
    }
    if (*letter == 'S') entry.is_signal_frame = true;
  }
  return values.is_good();
}

// Reads the common part (CIE) at `cursor`.
inline bool read_common(Cursor cursor, FrameEntry& entry) noexcept {
  Cursor body = cursor.take_block(cursor.take<std::uint32_t>());
  if (body.take<std::uint32_t>() != 0) return false;  // not a CIE
  const unsigned version = body.take<std::uint8_t>();
  char letters[8] = {};
  for (std::size_t used = 0;; ++used) {
    const char letter = body.take<char>();
    if (letter == '\0') break;
    if (used + 1 == sizeof letters) return false;
    letters[used] = letter;
  }
  entry.code_factor = body.take_unsigned();
  entry.data_factor = body.take_signed();
  entry.return_column = version == 1 ? body.take<std::uint8_t>() : body.take_unsigned();
  if (!read_augmentation(body, letters, entry)) return false;
  entry.common_rules = body;
  return body.is_good() && (version == 1 || version == 3);
}

// Reads the entry (FDE) at `cursor`, and moves it behind; false: not an entry of `address`.
inline bool read_entry(Cursor& cursor, std::uintptr_t section, std::uintptr_t address,
                       FrameEntry& entry) noexcept {
  Cursor body = cursor.take_block(cursor.take<std::uint32_t>());
  const std::uintptr_t here = body.position();
  const std::uint32_t distance = body.take<std::uint32_t>();
  if (!body.is_good() || distance == 0 || here - section < distance) return false;
  if (!read_common(Cursor{here - distance, cursor.end()}, entry)) return false;

  entry.function_begin = body.take_pointer(entry.encoding, entry.data_base);
  // The length has the encoding's size, but is a plain number.
  entry.function_end =
      entry.function_begin + body.take_pointer(entry.encoding & 0x0fU, entry.data_base);
  if (entry.has_augmentation) body.skip(body.take_unsigned());
  entry.rules = body;
  return body.is_good() && address >= entry.function_begin && address < entry.function_end;
}

// Without a table every entry is looked at, in order; a length of 0 ends the section.
inline std::optional<FrameEntry> search_entries(Cursor section, std::uintptr_t address,
                                                std::uintptr_t data_base) noexcept {
  const std::uintptr_t begin = section.position();
  while (section.is_good() && section.end() - section.position() > 2 * sizeof(std::uint32_t)) {
    if (Cursor{section}.take<std::uint32_t>() == 0) break;
    FrameEntry entry;
    entry.data_base = data_base;
    if (read_entry(section, begin, address, entry)) return entry;
  }
  return std::nullopt;
}

// The table of .eh_frame_hdr: pairs of function and entry, sorted, relative to the header.
inline std::optional<FrameEntry> search_table(Cursor header, std::uintptr_t address) noexcept {
  constexpr unsigned sorted_pairs = 0x3b;  // DW_EH_PE_datarel | DW_EH_PE_sdata4
  struct Pair {
    std::int32_t function, entry;
  };
  const std::uintptr_t base = header.position();
  Cursor cursor = header;
  const unsigned version = cursor.take<std::uint8_t>();
  const unsigned frames_encoding = cursor.take<std::uint8_t>();
  const unsigned count_encoding = cursor.take<std::uint8_t>();
  const unsigned table_encoding = cursor.take<std::uint8_t>();
  if (version != 1 || frames_encoding == omitted_encoding) return std::nullopt;
  const std::uintptr_t frames = cursor.take_pointer(frames_encoding, base);
  // Some linkers put .eh_frame before its header, so only the upper end bounds it.
  if (!cursor.is_good() || frames >= header.end()) return std::nullopt;
  if (table_encoding != sorted_pairs || count_encoding == omitted_encoding) {
    return search_entries(Cursor{frames, header.end()}, address, base);
  }
  std::uintptr_t count = cursor.take_pointer(count_encoding, base);
  if (count > (cursor.end() - cursor.position()) / sizeof(Pair)) return std::nullopt;

  std::uintptr_t first = cursor.position();  // the last pair whose function is not above address
  while (count > 1) {
    const std::uintptr_t middle = first + count / 2 * sizeof(Pair);
    const Pair pair = Cursor{middle, cursor.end()}.take<Pair>();
    const auto distance = static_cast<std::uintptr_t>(std::intptr_t{pair.function});
    const bool is_above = base + distance > address;
    if (!is_above) first = middle;
    count = is_above ? count / 2 : count - count / 2;
  }
  const Pair found = Cursor{first, cursor.end()}.take<Pair>();
  const std::uintptr_t position = base + static_cast<std::uintptr_t>(std::intptr_t{found.entry});
  if (position < frames || position >= header.end()) return std::nullopt;
  Cursor at{position, header.end()};
  FrameEntry entry;
  entry.data_base = base;
  if (!read_entry(at, frames, address, entry)) return std::nullopt;
  return entry;
}

}  // namespace detail

inline std::uint64_t Cursor::take_unsigned() noexcept {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = take<std::uint8_t>();
    number |= std::uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80U) == 0) return number;
  }
  fail();
  return 0;
}

inline std::int64_t Cursor::take_signed() noexcept {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = take<std::uint8_t>();
    number |= std::uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80U) != 0) continue;
    if ((byte & 0x40U) != 0 && shift + 7 < 64) number |= ~std::uint64_t{0} << (shift + 7);
    return static_cast<std::int64_t>(number);
  }
  fail();
  return 0;
}

inline Cursor Cursor::take_block(std::uint64_t size) noexcept {
  Cursor block;
  if (!reserve(size)) {
    block.fail();
    return block;
  }
  block = Cursor{position_, position_ + static_cast<std::uintptr_t>(size)};
  position_ = block.end_;
  return block;
}

inline std::uintptr_t Cursor::take_pointer(unsigned encoding, std::uintptr_t data_base) noexcept {
  const std::uintptr_t here = position_;
  std::uint64_t value = 0;
  switch (encoding & 0x0fU) {
    case 0x00: value = take<std::uintptr_t>(); break;
    case 0x01: value = take_unsigned(); break;
    case 0x02: value = take<std::uint16_t>(); break;
    case 0x03: value = take<std::uint32_t>(); break;
    case 0x04: value = take<std::uint64_t>(); break;
    case 0x09: value = static_cast<std::uint64_t>(take_signed()); break;
    case 0x0a: value = static_cast<std::uint64_t>(std::int64_t{take<std::int16_t>()}); break;
    case 0x0b: value = static_cast<std::uint64_t>(std::int64_t{take<std::int32_t>()}); break;
    case 0x0c: value = static_cast<std::uint64_t>(take<std::int64_t>()); break;
    default: fail(); return 0;
  }
  switch (encoding & 0xf0U) {
    case 0x00: break;
    case 0x10: value += here; break;
    case 0x30: value += data_base; break;
    default: fail(); return 0;  // relative to text or function, or indirect: not used on Linux
  }
  return static_cast<std::uintptr_t>(value);
}

inline std::optional<FrameEntry> find_frame_entry(std::uintptr_t address) noexcept {
  dl_find_object object{};
  // Takes no lock, unlike dladdr and dl_iterate_phdr, which hang while a thread is in dlopen.
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) return std::nullopt;
  if (object.dlfo_eh_frame != nullptr) {
    const auto header = reinterpret_cast<std::uintptr_t>(object.dlfo_eh_frame);
    const auto cursor = detail::bounded(object, header);
    return cursor ? detail::search_table(*cursor, address) : std::nullopt;
  }
  const MainProgram* program = main_program.load(std::memory_order_acquire);  // P1
  if (program == nullptr || program->frames_begin == 0) return std::nullopt;
  return detail::search_entries(Cursor{program->frames_begin, program->frames_end}, address, 0);
}

}  // namespace genserver::v0::platform
