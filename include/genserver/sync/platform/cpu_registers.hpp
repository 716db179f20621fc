// SPDX-License-Identifier: BSL-1.0
// The registers from which a stack is walked, for x86-64 and aarch64 Linux.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <ucontext.h>

namespace genserver::inline v0::platform {

/// Registers by their DWARF numbers, each of them known or not.
class Registers {
 public:
#if defined(__x86_64__)
  static constexpr std::size_t count = 17;
  static constexpr std::size_t frame = 6;          // rbp
  static constexpr std::size_t stack = 7;          // rsp
  static constexpr std::size_t program = 16;       // rip, which DWARF calls the return address
#else
  static constexpr std::size_t count = 33;
  static constexpr std::size_t frame = 29;
  static constexpr std::size_t stack = 31;
  static constexpr std::size_t program = 32;       // pc; DWARF has no number for it
#endif

  [[nodiscard]] bool knows(std::size_t number) const noexcept {
    return number < count && (known_ >> number & 1U) != 0;
  }
  [[nodiscard]] std::uint64_t operator[](std::size_t number) const noexcept {
    return values_[number];
  }
  void set(std::size_t number, std::uint64_t value) noexcept {
    values_[number] = value;
    known_ |= std::uint64_t{1} << number;
  }
  void forget(std::size_t number) noexcept { known_ &= ~(std::uint64_t{1} << number); }

  /// Takes them from what the kernel or getcontext() saved.
  static Registers of(const ucontext_t& context) noexcept;

 private:
  std::array<std::uint64_t, count> values_{};
  std::uint64_t known_ = 0;
};

#if defined(__x86_64__)

inline Registers Registers::of(const ucontext_t& context) noexcept {
  // Where in `gregs` each DWARF register is.
  constexpr int places[count] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                 REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                 REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  Registers registers;
  for (std::size_t number = 0; number < count; ++number) {
    const auto value = context.uc_mcontext.gregs[places[number]];
    registers.set(number, static_cast<std::uint64_t>(value));
  }
  return registers;
}

/// Takes what pointer authentication added off a return address.
inline std::uint64_t plain_address(std::uint64_t address) noexcept { return address; }

#else

inline Registers Registers::of(const ucontext_t& context) noexcept {
  Registers registers;
  for (std::size_t number = 0; number < stack; ++number) {
    registers.set(number, context.uc_mcontext.regs[number]);
  }
  registers.set(stack, context.uc_mcontext.sp);
  registers.set(program, context.uc_mcontext.pc);
  return registers;
}

/// Takes what pointer authentication added off a return address.
inline std::uint64_t plain_address(std::uint64_t address) noexcept {
  register std::uint64_t link asm("x30") = address;
  asm("hint #7" : "+r"(link));  // xpaclri; does nothing on a processor without it
  return link;
}

#endif

}  // namespace genserver::v0::platform
