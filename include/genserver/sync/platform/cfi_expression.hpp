// SPDX-License-Identifier: BSL-1.0
// Evaluates the DWARF expressions that occur in frame descriptions.
//
// Format: DWARF 5, chapter 2.5. Compilers need few of the operations in frame descriptions (lazy
// binding stubs, realigned stacks, signal frames); an unknown one ends the walk.
#pragma once

#include <genserver/sync/platform/cpu_registers.hpp>
#include <genserver/sync/platform/eh_frame.hpp>
#include <genserver/sync/platform/stack_memory.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace genserver::inline v0::platform {

/// A stack machine with a small, fixed stack. Async-signal-safe.
class CfiExpression {
 public:
  CfiExpression(const Registers& registers, const StackMemory& memory) noexcept
      : registers_{registers}, memory_{memory} {}

  /// Returns the value of `code`, evaluated with `initial` on the stack; nothing if the code is
  /// not understood, or uses a register that is not known.
  std::optional<std::uint64_t> value_of(Cursor code, std::uint64_t initial) noexcept {
    push(initial);
    for (int steps = 0; good_ && !code.is_at_end(); ++steps) {
      if (steps == 256) return std::nullopt;
      execute(code.take<std::uint8_t>(), code);
    }
    const std::uint64_t value = pop();
    if (!good_ || !code.is_good()) return std::nullopt;
    return value;
  }

 private:
  void execute(unsigned operation, Cursor& code) noexcept;
  bool push_constant(unsigned operation, Cursor& code) noexcept;
  bool combine(unsigned operation) noexcept;
  void push_register(std::uint64_t number, std::int64_t offset) noexcept;
  void load(unsigned size) noexcept;

  void push(std::uint64_t value) noexcept {
    good_ = good_ && size_ < stack_.size();
    if (good_) stack_[size_++] = value;
  }
  std::uint64_t pop() noexcept {
    good_ = good_ && size_ > 0;
    return good_ ? stack_[--size_] : 0;
  }

  const Registers& registers_;
  const StackMemory& memory_;
  std::array<std::uint64_t, 16> stack_{};
  std::size_t size_ = 0;
  bool good_ = true;
};

inline void CfiExpression::execute(unsigned operation, Cursor& code) noexcept {
  if (operation >= 0x70 && operation <= 0x8f) {  // DW_OP_breg0 .. DW_OP_breg31
    return push_register(operation - 0x70, code.take_signed());
  }
  if (push_constant(operation, code) || combine(operation)) return;
  switch (operation) {
    case 0x06: return load(8);               // deref
    case 0x94: return load(code.take<std::uint8_t>());
    case 0x12: {                             // dup
      const std::uint64_t top = pop();
      push(top);
      return push(top);
    }
    case 0x13: pop(); return;                // drop
    case 0x16: {                             // swap
      const std::uint64_t top = pop();
      const std::uint64_t next = pop();
      push(top);
      return push(next);
    }
    case 0x1f: return push(0 - pop());       // neg
    case 0x20: return push(~pop());          // not
    case 0x23: return push(pop() + code.take_unsigned());  // plus_uconst
    case 0x92: {                             // bregx
      const std::uint64_t number = code.take_unsigned();
      return push_register(number, code.take_signed());
    }
    case 0x96: return;                       // nop
    default: good_ = false;
  }
}

inline bool CfiExpression::push_constant(unsigned operation, Cursor& code) noexcept {
  if (operation >= 0x30 && operation <= 0x4f) {  // DW_OP_lit0 .. DW_OP_lit31
    push(operation - 0x30);
    return true;
  }
  const auto widened = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  switch (operation) {
    case 0x08: push(code.take<std::uint8_t>()); return true;
    case 0x09: push(widened(code.take<std::int8_t>())); return true;
    case 0x0a: push(code.take<std::uint16_t>()); return true;
    case 0x0b: push(widened(code.take<std::int16_t>())); return true;
    case 0x0c: push(code.take<std::uint32_t>()); return true;
    case 0x0d: push(widened(code.take<std::int32_t>())); return true;
    case 0x03:
    case 0x0e: push(code.take<std::uint64_t>()); return true;
    case 0x0f: push(widened(code.take<std::int64_t>())); return true;
    case 0x10: push(code.take_unsigned()); return true;
    case 0x11: push(widened(code.take_signed())); return true;
    default: return false;
  }
}

inline bool CfiExpression::combine(unsigned operation) noexcept {
  const bool known = operation == 0x1a || operation == 0x1c || operation == 0x1e ||
                     operation == 0x21 || operation == 0x22 || operation == 0x24 ||
                     operation == 0x25 || operation == 0x27 ||
                     (operation >= 0x29 && operation <= 0x2e);
  if (!known) return false;
  const std::uint64_t right = pop();
  const std::uint64_t left = pop();
  const auto signed_left = static_cast<std::int64_t>(left);
  const auto signed_right = static_cast<std::int64_t>(right);
  switch (operation) {
    case 0x1a: push(left & right); break;
    case 0x1c: push(left - right); break;
    case 0x1e: push(left * right); break;
    case 0x21: push(left | right); break;
    case 0x22: push(left + right); break;
    case 0x24: push(right < 64 ? left << right : 0); break;
    case 0x25: push(right < 64 ? left >> right : 0); break;
    case 0x27: push(left ^ right); break;
    case 0x29: push(left == right ? 1 : 0); break;
    case 0x2a: push(signed_left >= signed_right ? 1 : 0); break;
    case 0x2b: push(signed_left > signed_right ? 1 : 0); break;
    case 0x2c: push(signed_left <= signed_right ? 1 : 0); break;
    case 0x2d: push(signed_left < signed_right ? 1 : 0); break;
    default: push(left != right ? 1 : 0); break;
  }
  return true;
}

inline void CfiExpression::push_register(std::uint64_t number, std::int64_t offset) noexcept {
  good_ = good_ && number < Registers::count && registers_.knows(static_cast<std::size_t>(number));
  if (good_) {
    push(registers_[static_cast<std::size_t>(number)] + static_cast<std::uint64_t>(offset));
  }
}

inline void CfiExpression::load(unsigned size) noexcept {
  std::uint64_t word = 0;
  const auto address = static_cast<std::uintptr_t>(pop());
  const bool is_size = size == 1 || size == 2 || size == 4 || size == 8;
  // A shorter load may not run past the stack's end, but stacks do not end in such a value.
  good_ = good_ && is_size && memory_.read(address, word);
  push(size == 8 || !good_ ? word : word & ((std::uint64_t{1} << (8 * size)) - 1));
}

}  // namespace genserver::v0::platform
