// SPDX-License-Identifier: BSL-1.0
// Damages a copy of a program at random places, many times, and looks up lines in it: whatever is
// found, nothing outside the file may be read, and it may not take long.
#include <genserver/sync/platform/dwarf.hpp>
#include <genserver/sync/platform/elf_file.hpp>
#include <genserver/sync/platform/elf_symbols.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using genserver::platform::Dwarf;
using genserver::platform::ElfFile;

using Bytes = std::string;

Bytes read(const char* path) {
  const ElfFile file{path};
  return Bytes{file.bytes()};
}

bool write(const char* path, const Bytes& bytes) {
  std::FILE* file = std::fopen(path, "wb");
  if (file == nullptr) return false;
  const bool is_written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  return std::fclose(file) == 0 && is_written;
}

// The pieces in which damage is interesting; in the others it would hit too rarely.
std::vector<ElfFile::Section> debug_sections(const ElfFile& file) {
  std::vector<ElfFile::Section> sections;
  for (const char* name :
       {".debug_info", ".debug_abbrev", ".debug_line", ".debug_rnglists", ".debug_ranges",
        ".debug_addr", ".debug_str_offsets", ".debug_line_str", ".debug_info.dwo",
        ".debug_abbrev.dwo", ".debug_str_offsets.dwo", ".debug_rnglists.dwo"}) {
    if (const auto section = file.section_named(name)) sections.push_back(*section);
  }
  return sections;
}

std::size_t look_up(const char* path, const ElfFile::Section& text, std::mt19937& random) {
  Dwarf dwarf{ElfFile{path}};
  std::vector<genserver::Frame> frames;
  for (int times = 0; times < 40; ++times) {
    genserver::Frame frame;
    frame.offset = static_cast<std::uintptr_t>(text.sh_addr + random() % text.sh_size);
    dwarf.append(frame, frames);
  }
  const genserver::platform::ElfSymbols symbols{ElfFile{path}};
  static_cast<void>(symbols.name_at(static_cast<std::uintptr_t>(text.sh_addr)));
  std::size_t named = 0;
  for (const auto& frame : frames) named += frame.file.empty() ? 0 : 1;
  return named;
}

void damage(Bytes& bytes, const std::vector<ElfFile::Section>& sections, std::mt19937& random) {
  const auto& section = sections[random() % sections.size()];
  const std::size_t count = 1 + random() % 20;
  // Now close together, now anywhere; and sometimes the file's own headers.
  const std::size_t width = random() % 2 == 0 ? section.sh_size : 200;
  const std::size_t start = section.sh_offset + random() % section.sh_size;
  for (std::size_t times = 0; times < count; ++times) {
    std::size_t place = (start + random() % width) % bytes.size();
    if (random() % 200 == 0) place = bytes.size() - 1 - random() % 3000;
    constexpr unsigned char favourites[] = {0, 1, 0x7f, 0x80, 0xff};
    const bool is_favourite = random() % 2 == 0;
    bytes[place] = static_cast<char>(is_favourite ? favourites[random() % 5] : random() % 256);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return std::puts("usage: damage program copy rounds"), 2;
  const Bytes whole = read(argv[1]);
  const ElfFile file{argv[1]};
  const auto sections = debug_sections(file);
  const auto text = file.section_named(".text");
  if (sections.empty() || !text || text->sh_size == 0) return std::puts("no debug sections"), 2;

  std::size_t named = 0;
  std::chrono::steady_clock::duration longest{};
  const int rounds = std::atoi(argv[3]);
  for (int round = 0; round < rounds; ++round) {
    std::mt19937 random{static_cast<unsigned>(round)};
    Bytes bytes = whole;
    damage(bytes, sections, random);
    if (random() % 50 == 0) bytes.resize(random() % bytes.size());
    if (!write(argv[2], bytes)) return std::puts("cannot write the copy"), 2;
    const auto start = std::chrono::steady_clock::now();
    named += look_up(argv[2], *text, random);
    longest = std::max(longest, std::chrono::steady_clock::now() - start);
  }
  std::printf("%d rounds, %s lines found, at most %.1f s for one\n", rounds,
              named == 0 ? "no" : "some", std::chrono::duration<double>(longest).count());
  return named == 0 || longest > std::chrono::seconds{20} ? 1 : 0;
}
