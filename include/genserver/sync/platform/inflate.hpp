// SPDX-License-Identifier: BSL-1.0
// Unpacks data in zlib's format into memory whose size is known.
//
// Format: RFC 1950 (zlib) and RFC 1951 (deflate). The checksum at the end is not looked at.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace genserver::inline v0::platform {

/// Unpacks exactly `size` bytes to `to`; false if there are not as many or the data are damaged.
///
/// It reads and writes nothing else, whatever the data say.
inline bool inflate(std::string_view packed, char* to, std::size_t size);

namespace detail {

class Inflation {
 public:
  Inflation(std::string_view packed, char* to, std::size_t size) noexcept
      : from_{packed.data()}, left_{packed.size()}, to_{to}, room_{size} {}

  [[nodiscard]] bool run() noexcept;

 private:
  // The symbol and, in the low four bits, the length of the code that the next 15 bits begin with;
  // 0 where no code does.
  using Codes = std::array<std::uint16_t, 1U << 15>;
  using Lengths = std::array<std::uint8_t, 320>;  // 288 for literals and lengths, 32 for distances

  void fill() noexcept;
  unsigned take(unsigned count) noexcept;
  unsigned take_symbol(const Codes& codes) noexcept;
  void put(unsigned byte) noexcept;
  void repeat(std::size_t length, std::size_t distance) noexcept;
  void build(Codes& codes, const std::uint8_t* lengths, unsigned count) noexcept;
  void take_stored() noexcept;
  void use_fixed_codes() noexcept;
  void take_codes() noexcept;
  void take_packed() noexcept;

  const char* from_;
  std::size_t left_;
  char* to_;
  std::size_t room_;         // behind to_
  std::size_t written_ = 0;  // before to_
  std::uint64_t bits_ = 0;   // the first of them lowest
  unsigned bit_count_ = 0;
  bool good_ = true;
  Codes literals_{};
  Codes distances_{};
};

inline void Inflation::fill() noexcept {
  while (bit_count_ <= 56 && left_ != 0) {
    bits_ |= std::uint64_t{static_cast<unsigned char>(*from_++)} << bit_count_;
    bit_count_ += 8;
    --left_;
  }
}

inline unsigned Inflation::take(unsigned count) noexcept {
  fill();
  good_ = good_ && count <= bit_count_;
  if (!good_) return 0;
  const auto number = static_cast<unsigned>(bits_ & ((std::uint64_t{1} << count) - 1));
  bits_ >>= count;
  bit_count_ -= count;
  return number;
}

inline unsigned Inflation::take_symbol(const Codes& codes) noexcept {
  fill();
  const unsigned code = codes[static_cast<std::size_t>(bits_ & (codes.size() - 1))];
  const unsigned length = code & 15U;
  good_ = good_ && length != 0 && length <= bit_count_;
  if (!good_) return 0;
  bits_ >>= length;
  bit_count_ -= length;
  return code >> 4U;
}

inline void Inflation::put(unsigned byte) noexcept {
  good_ = good_ && room_ != 0;
  if (!good_) return;
  *to_++ = static_cast<char>(byte);
  --room_;
  ++written_;
}

inline void Inflation::repeat(std::size_t length, std::size_t distance) noexcept {
  good_ = good_ && distance <= written_ && length <= room_;
  if (!good_) return;
  // What is repeated may be what is being written, so byte by byte.
  for (std::size_t count = 0; count < length; ++count) to_[count] = *(to_ + count - distance);
  to_ += length;
  room_ -= length;
  written_ += length;
}

// Codes are numbered by their length, then by their symbol, and are stored with the first bit
// lowest.
inline void Inflation::build(Codes& codes, const std::uint8_t* lengths, unsigned count) noexcept {
  codes.fill(0);
  unsigned next = 0;
  for (unsigned length = 1; length <= 15; ++length) {
    next <<= 1U;
    for (unsigned symbol = 0; symbol < count; ++symbol) {
      if (lengths[symbol] != length) continue;
      good_ = good_ && next < 1U << length;
      if (!good_) return;  // more codes than there can be
      unsigned first = 0;
      for (unsigned bit = 0; bit < length; ++bit) first |= (next >> bit & 1U) << (length - 1 - bit);
      for (std::size_t at = first; at < codes.size(); at += std::size_t{1} << length) {
        codes[at] = static_cast<std::uint16_t>(symbol << 4U | length);
      }
      ++next;
    }
  }
}

inline void Inflation::take_stored() noexcept {
  take(bit_count_ % 8);
  const unsigned length = take(16);
  good_ = good_ && take(16) == (~length & 0xffffU);
  for (unsigned count = 0; good_ && count < length; ++count) put(take(8));
}

inline void Inflation::use_fixed_codes() noexcept {
  Lengths lengths;
  for (unsigned symbol = 0; symbol < 288; ++symbol) {
    const unsigned long_or_short = symbol < 256 ? 9 : 7;
    lengths[symbol] = static_cast<std::uint8_t>(symbol < 144 || symbol >= 280 ? 8 : long_or_short);
  }
  build(literals_, lengths.data(), 288);
  lengths.fill(5);
  build(distances_, lengths.data(), 30);
}

inline void Inflation::take_codes() noexcept {
  constexpr std::array<std::uint8_t, 19> order{16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                               11, 4,  12, 3, 13, 2, 14, 1, 15};
  const unsigned literal_count = take(5) + 257;
  const unsigned all = literal_count + take(5) + 1;
  const unsigned length_count = take(4) + 4;
  Lengths lengths{};
  for (unsigned at = 0; at < length_count; ++at) {
    lengths[order[at]] = static_cast<std::uint8_t>(take(3));
  }
  build(literals_, lengths.data(), order.size());  // for the lengths of the other two

  lengths.fill(0);
  for (unsigned at = 0; good_ && at < all;) {
    const unsigned symbol = take_symbol(literals_);
    unsigned count = 1;
    std::uint8_t length = static_cast<std::uint8_t>(symbol);
    if (symbol == 16 && at == 0) good_ = false;  // nothing to repeat
    if (symbol == 16 && at > 0) length = lengths[at - 1];
    if (symbol > 16) length = 0;
    if (symbol == 16) count = 3 + take(2);
    if (symbol == 17) count = 3 + take(3);
    if (symbol == 18) count = 11 + take(7);
    good_ = good_ && count <= all - at;
    for (; good_ && count != 0; --count) lengths[at++] = length;
  }
  build(literals_, lengths.data(), literal_count);
  build(distances_, lengths.data() + literal_count, all - literal_count);
}

inline void Inflation::take_packed() noexcept {
  constexpr std::array<std::uint16_t, 29> length_starts{3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                                        15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                                        67, 83, 99, 115, 131, 163, 195, 227, 258};
  constexpr unsigned end_of_block = 256;
  while (good_) {
    const unsigned symbol = take_symbol(literals_);
    if (symbol == end_of_block) return;
    if (symbol < end_of_block) {
      put(symbol);
      continue;
    }
    const unsigned kind = symbol - end_of_block - 1;
    good_ = good_ && kind < length_starts.size();
    if (!good_) return;
    const bool has_bits = kind >= 8 && kind < 28;
    const std::size_t length = length_starts[kind] + take(has_bits ? kind / 4 - 1 : 0);
    const unsigned step = take_symbol(distances_);
    good_ = good_ && step < 30;
    const unsigned bits = good_ && step >= 4 ? step / 2 - 1 : 0;
    const unsigned start = step < 4 ? step + 1 : ((2U + step % 2) << bits) + 1;
    repeat(length, start + take(bits));
  }
}

inline bool Inflation::run() noexcept {
  const unsigned method = take(8);
  const unsigned flags = take(8);
  constexpr unsigned deflate = 8;
  constexpr unsigned dictionary = 0x20;
  good_ = good_ && (method & 15U) == deflate && (flags & dictionary) == 0 &&
          (method * 256 + flags) % 31 == 0;
  for (bool is_last = false; good_ && !is_last;) {
    is_last = take(1) != 0;
    const unsigned kind = take(2);
    good_ = good_ && kind != 3;
    if (kind == 1) use_fixed_codes();
    if (kind == 2) take_codes();
    if (kind == 0) take_stored();
    if (kind == 1 || kind == 2) take_packed();
  }
  return good_ && room_ == 0;
}

}  // namespace detail

inline bool inflate(std::string_view packed, char* to, std::size_t size) {
  // Not on the stack, which may be a small one.
  return std::make_unique<detail::Inflation>(packed, to, size)->run();
}

}  // namespace genserver::v0::platform
