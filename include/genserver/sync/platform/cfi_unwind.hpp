// SPDX-License-Identifier: BSL-1.0
// Walks a stack from callee to caller by what the compiler wrote about each frame.
//
// Not libgcc's unwinder: that one crashes when a signal hits the thread at the end of a `throw`.
// Here a wrong description leads to a short trace, which is marked, but to no bad access.
#pragma once

#include <genserver/sync/platform/cfi_expression.hpp>
#include <genserver/sync/platform/cfi_rules.hpp>
#include <genserver/sync/platform/cpu_registers.hpp>
#include <genserver/sync/platform/eh_frame.hpp>
#include <genserver/sync/platform/stack_memory.hpp>
#include <genserver/sync/platform/stack_raw.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace genserver::inline v0::platform {

/// Goes from frame to frame. Async-signal-safe; allocates nothing.
class StackWalk {
 public:
  enum class Step {
    went_on,
    at_end,       // this was the thread's first function
    needs_frame,  // the frame's address depends on the frame register, which is not known
    lost          // nothing, or nothing sensible, is known of this frame
  };

  StackWalk(const Registers& registers, const StackMemory& memory) noexcept
      : registers_{registers}, memory_{memory} {}

  /// Goes to the caller.
  Step step() noexcept;

  /// Returns the address that stands for the current frame (see RawStack).
  [[nodiscard]] std::uintptr_t address() const noexcept {
    return static_cast<std::uintptr_t>(registers_[Registers::program]) - (is_exact_ ? 0 : 1);
  }
  /// Returns the registers, for a caller who can find out one that is not known.
  Registers& registers() noexcept { return registers_; }

 private:
  std::optional<std::uint64_t> frame_address(const CfiRow& row, const FrameEntry& entry) noexcept;
  std::optional<std::uint64_t> value(std::size_t number, const CfiRow& row, const FrameEntry& entry,
                                     std::uint64_t frame) noexcept;
  bool is_made_up() const noexcept;
  Step step_by(const FrameEntry& entry) noexcept;
  Step step_without_entry() noexcept;
  bool accept(const Registers& caller) noexcept;

  Registers registers_;
  const StackMemory& memory_;
  bool is_exact_ = true;     // the program counter is an instruction, not a return address
  bool is_innermost_ = true;
};

/// The addresses that one walk found.
struct WalkedStack {
  std::array<std::uintptr_t, RawStack::capacity> addresses;  // the first `count` are set
  std::size_t count = 0;
  bool is_complete = false;
};

/// Walks to the end, or as far as it goes. Async-signal-safe.
inline void walk_stack(const Registers& registers, const StackMemory& memory,
                       WalkedStack& walked) noexcept {
  StackWalk walk{registers, memory};
  walked.count = 0;
  StackWalk::Step step = StackWalk::Step::went_on;
  while (step == StackWalk::Step::went_on && walked.count < walked.addresses.size()) {
    walked.addresses[walked.count++] = walk.address();
    step = walk.step();
  }
  walked.is_complete = step == StackWalk::Step::at_end;
}

inline StackWalk::Step StackWalk::step() noexcept {
  const auto entry = find_frame_entry(address());
  if (!entry && is_made_up()) return Step::at_end;
  const Step result = entry ? step_by(*entry) : step_without_entry();
  if (result == Step::went_on) is_innermost_ = false;
  return result;
}

// No call returns to a function's first instruction: makecontext() wrote this return address, so a
// fiber begins here. (A call at a function's end would have found that function's entry.)
inline bool StackWalk::is_made_up() const noexcept {
  const auto target = static_cast<std::uintptr_t>(registers_[Registers::program]);
  const auto entry = is_exact_ ? std::nullopt : find_frame_entry(target);
  return entry && entry->function_begin == target;
}

inline StackWalk::Step StackWalk::step_by(const FrameEntry& entry) noexcept {
  const auto row = rules_at(entry, address());
  if (!row || entry.return_column >= Registers::count) return Step::lost;
  const auto return_column = static_cast<std::size_t>(entry.return_column);
  if (row->rules[return_column] == CfiRule::undefined) return Step::at_end;
  if (!row->frame_is_expression && row->frame_register == Registers::frame &&
      !registers_.knows(Registers::frame)) {
    return Step::needs_frame;
  }
  const auto frame = frame_address(*row, entry);
  if (!frame) return Step::lost;

  Registers caller = registers_;
  caller.set(Registers::stack, *frame);
  for (std::size_t number = 0; number < Registers::count; ++number) {
    const bool is_stack_pointer = number == Registers::stack && row->rules[number] == CfiRule::same;
    if (is_stack_pointer) continue;
    if (const auto saved = value(number, *row, entry, *frame)) {
      caller.set(number, *saved);
    } else {
      caller.forget(number);
    }
  }
  if (!caller.knows(return_column)) return Step::lost;
  caller.set(Registers::program, plain_address(caller[return_column]));
  if (caller[Registers::program] == 0) return Step::at_end;
  if (!entry.is_signal_frame && !accept(caller)) return Step::lost;
  registers_ = caller;
  is_exact_ = entry.is_signal_frame;
  return Step::went_on;
}

// Stacks grow downwards, so each caller's frame is above; in a leaf of aarch64 it may be the same.
inline bool StackWalk::accept(const Registers& caller) noexcept {
  const std::uint64_t before = registers_[Registers::stack];
  const std::uint64_t after = caller[Registers::stack];
  return after > before || (is_innermost_ && after == before);
}

inline std::optional<std::uint64_t> StackWalk::frame_address(const CfiRow& row,
                                                             const FrameEntry& entry) noexcept {
  if (row.frame_is_expression) {
    const Cursor code = expression_at(row.frame_operand, entry.rules);
    return CfiExpression{registers_, memory_}.value_of(code, 0);
  }
  if (row.frame_register >= Registers::count) return std::nullopt;
  const auto number = static_cast<std::size_t>(row.frame_register);
  if (!registers_.knows(number)) return std::nullopt;
  return registers_[number] + static_cast<std::uint64_t>(row.frame_operand);
}

inline std::optional<std::uint64_t> StackWalk::value(std::size_t number, const CfiRow& row,
                                                     const FrameEntry& entry,
                                                     std::uint64_t frame) noexcept {
  const std::int64_t operand = row.operands[number];
  std::uint64_t word = frame + static_cast<std::uint64_t>(operand);
  switch (row.rules[number]) {
    case CfiRule::same: break;
    case CfiRule::undefined: return std::nullopt;
    case CfiRule::offset: return word;
    case CfiRule::at_offset:
      if (!memory_.read(static_cast<std::uintptr_t>(word), word)) return std::nullopt;
      return word;
    case CfiRule::in_register:
      number = static_cast<std::size_t>(operand);
      break;
    case CfiRule::at_expression:
    case CfiRule::expression: {
      const Cursor code = expression_at(operand, entry.rules);
      const auto result = CfiExpression{registers_, memory_}.value_of(code, frame);
      if (!result || row.rules[number] == CfiRule::expression) return result;
      if (!memory_.read(static_cast<std::uintptr_t>(*result), word)) return std::nullopt;
      return word;
    }
  }
  return registers_.knows(number) ? std::optional{registers_[number]} : std::nullopt;
}

// Code without a description (assembly, a library's `_init`, generated code): if the innermost
// function is one, its return address may still be where the call put it; otherwise, and in
// generated code, the frame register may lead a chain of frames.
inline StackWalk::Step StackWalk::step_without_entry() noexcept {
  Registers caller = registers_;
  std::uint64_t link = 0;
  std::uint64_t target = 0;
  const std::uint64_t stack = registers_[Registers::stack];
#if defined(__x86_64__)
  if (is_innermost_ && memory_.read(static_cast<std::uintptr_t>(stack), target) &&
      find_frame_entry(static_cast<std::uintptr_t>(target) - 1)) {
    caller.set(Registers::stack, stack + sizeof target);
    caller.set(Registers::program, target);
    registers_ = caller;
    is_exact_ = false;
    return Step::went_on;
  }
#endif
  if (!registers_.knows(Registers::frame)) return Step::lost;
  const std::uint64_t frame = registers_[Registers::frame];
  if (frame < stack || frame % sizeof frame != 0) return Step::lost;
  if (!memory_.read(static_cast<std::uintptr_t>(frame), link) ||
      !memory_.read(static_cast<std::uintptr_t>(frame + sizeof frame), target)) {
    return Step::lost;
  }
  target = plain_address(target);
  const bool is_known = find_frame_entry(static_cast<std::uintptr_t>(target) - 1).has_value();
  if (!is_known && link <= frame) return Step::lost;
  caller.set(Registers::frame, link);
  caller.set(Registers::stack, frame + 2 * sizeof frame);
  caller.set(Registers::program, target);
  registers_ = caller;
  is_exact_ = false;
  return Step::went_on;
}

}  // namespace genserver::v0::platform
