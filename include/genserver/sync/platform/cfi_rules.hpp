// SPDX-License-Identifier: BSL-1.0
// Executes a function's frame description up to one instruction.
//
// Format: DWARF 5, chapter 6.4.2 (call frame instructions), with GNU's and ARM's additions.
#pragma once

#include <genserver/sync/platform/cpu_registers.hpp>
#include <genserver/sync/platform/eh_frame.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace genserver::inline v0::platform {

/// Where the caller's value of a register is, when the callee stands at a certain instruction.
enum class CfiRule : std::uint8_t {
  same,              // still in the register
  undefined,         // lost; for the return address: there is no caller
  at_offset,         // in memory at the frame's address + operand
  offset,            // is the frame's address + operand
  in_register,       // in the register `operand`
  at_expression,     // in memory at the value of the expression at `operand`
  expression         // is the value of the expression at `operand`
};

/// The rules of all registers at one instruction; the frame's address (CFA) first.
struct CfiRow {
  bool frame_is_expression = false;
  std::uint64_t frame_register = 0;
  std::int64_t frame_operand = 0;  // offset, or the expression's address
  std::array<CfiRule, Registers::count> rules{};
  std::array<std::int64_t, Registers::count> operands{};
};

/// Returns the rules of `entry` that hold at `address`. Async-signal-safe.
inline std::optional<CfiRow> rules_at(const FrameEntry& entry, std::uintptr_t address) noexcept;

/// Returns the expression whose address an operand holds; it ends within `bounds`.
inline Cursor expression_at(std::int64_t operand, const Cursor& bounds) noexcept {
  Cursor cursor{static_cast<std::uintptr_t>(operand), bounds.end()};
  return cursor.take_block(cursor.take_unsigned());
}

namespace detail {

class CfiMachine {
 public:
  CfiMachine(const FrameEntry& entry, std::uintptr_t address) noexcept
      : entry_{entry}, target_{address}, location_{entry.function_begin} {}

  std::optional<CfiRow> run() noexcept {
    if (!execute(entry_.common_rules)) return std::nullopt;
    initial_ = row_;
    location_ = entry_.function_begin;
    if (!execute(entry_.rules)) return std::nullopt;
    return row_;
  }

 private:
  bool execute(Cursor code) noexcept;
  bool execute_one(unsigned operation, Cursor& code) noexcept;
  bool define_frame(unsigned operation, Cursor& code) noexcept;
  bool define_register(unsigned operation, Cursor& code) noexcept;
  bool remember(unsigned operation) noexcept;

  void advance(std::uint64_t delta) noexcept {
    location_ += static_cast<std::uintptr_t>(delta * entry_.code_factor);
  }
  void set(std::uint64_t number, CfiRule rule, std::int64_t operand) noexcept {
    if (number >= Registers::count) return;  // vector registers and the like are not needed
    row_.rules[static_cast<std::size_t>(number)] = rule;
    row_.operands[static_cast<std::size_t>(number)] = operand;
  }
  void restore(std::uint64_t number) noexcept {
    if (number >= Registers::count) return;
    const auto index = static_cast<std::size_t>(number);
    set(number, initial_.rules[index], initial_.operands[index]);
  }
  std::int64_t factored(std::uint64_t number) const noexcept {
    return static_cast<std::int64_t>(number * static_cast<std::uint64_t>(entry_.data_factor));
  }
  std::int64_t take_factored_signed(Cursor& code) const noexcept {
    return factored(static_cast<std::uint64_t>(code.take_signed()));
  }
  static std::int64_t take_expression(Cursor& code) noexcept {
    const auto start = static_cast<std::int64_t>(code.position());
    code.skip(code.take_unsigned());
    return start;
  }

  const FrameEntry& entry_;
  std::uintptr_t target_;
  std::uintptr_t location_;
  CfiRow row_{};
  CfiRow initial_{};
  std::array<CfiRow, 3> remembered_;  // no compiler nests them deeper than once
  std::size_t depth_ = 0;
};

inline bool CfiMachine::execute(Cursor code) noexcept {
  while (!code.is_at_end() && location_ <= target_) {
    const unsigned operation = code.take<std::uint8_t>();
    const unsigned argument = operation & 0x3fU;
    switch (operation & 0xc0U) {
      case 0x40: advance(argument); break;
      case 0x80: set(argument, CfiRule::at_offset, factored(code.take_unsigned())); break;
      case 0xc0: restore(argument); break;
      default:
        if (!execute_one(operation, code)) return false;
    }
  }
  return code.is_good();
}

inline bool CfiMachine::execute_one(unsigned operation, Cursor& code) noexcept {
  switch (operation) {
    case 0x00: return true;                                                   // nop
    case 0x01: location_ = code.take_pointer(entry_.encoding, entry_.data_base); return true;
    case 0x02: advance(code.take<std::uint8_t>()); return true;
    case 0x03: advance(code.take<std::uint16_t>()); return true;
    case 0x04: advance(code.take<std::uint32_t>()); return true;
    case 0x0a:
    case 0x0b: return remember(operation);
    case 0x2d: return true;  // AARCH64_negate_ra_state: signed addresses are always made plain
    case 0x2e: code.take_unsigned(); return true;                            // GNU_args_size
    default: return define_frame(operation, code) || define_register(operation, code);
  }
}

inline bool CfiMachine::define_frame(unsigned operation, Cursor& code) noexcept {
  switch (operation) {
    case 0x0c:                                                                // def_cfa
    case 0x12:                                                                // def_cfa_sf
      row_.frame_register = code.take_unsigned();
      row_.frame_operand = operation == 0x12 ? take_factored_signed(code)
                                             : static_cast<std::int64_t>(code.take_unsigned());
      break;
    case 0x0d: row_.frame_register = code.take_unsigned(); break;             // def_cfa_register
    case 0x0e: row_.frame_operand = static_cast<std::int64_t>(code.take_unsigned()); break;
    case 0x13: row_.frame_operand = take_factored_signed(code); break;        // def_cfa_offset_sf
    case 0x0f:                                                                // def_cfa_expression
      row_.frame_operand = take_expression(code);
      row_.frame_is_expression = true;
      return true;
    default: return false;
  }
  row_.frame_is_expression = false;
  return true;
}

inline bool CfiMachine::define_register(unsigned operation, Cursor& code) noexcept {
  const std::uint64_t number = code.take_unsigned();
  switch (operation) {
    case 0x05: set(number, CfiRule::at_offset, factored(code.take_unsigned())); return true;
    case 0x06: restore(number); return true;
    case 0x07: set(number, CfiRule::undefined, 0); return true;
    case 0x08: set(number, CfiRule::same, 0); return true;
    case 0x09:
      set(number, CfiRule::in_register, static_cast<std::int64_t>(code.take_unsigned()));
      return true;
    case 0x10: set(number, CfiRule::at_expression, take_expression(code)); return true;
    case 0x11: set(number, CfiRule::at_offset, take_factored_signed(code)); return true;
    case 0x14: set(number, CfiRule::offset, factored(code.take_unsigned())); return true;
    case 0x15: set(number, CfiRule::offset, take_factored_signed(code)); return true;
    case 0x16: set(number, CfiRule::expression, take_expression(code)); return true;
    case 0x2f: set(number, CfiRule::at_offset, -factored(code.take_unsigned())); return true;
    default: return false;
  }
}

inline bool CfiMachine::remember(unsigned operation) noexcept {
  if (operation == 0x0a) {
    if (depth_ == remembered_.size()) return false;
    remembered_[depth_++] = row_;
    return true;
  }
  if (depth_ == 0) return false;
  row_ = remembered_[--depth_];
  return true;
}

}  // namespace detail

inline std::optional<CfiRow> rules_at(const FrameEntry& entry, std::uintptr_t address) noexcept {
  return detail::CfiMachine{entry, address}.run();
}

}  // namespace genserver::v0::platform
