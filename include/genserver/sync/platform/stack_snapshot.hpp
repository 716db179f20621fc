// SPDX-License-Identifier: BSL-1.0
// A picture of a sleeping thread's stack, taken without disturbing the thread.
#pragma once

#include <genserver/sync/platform/cfi_unwind.hpp>
#include <genserver/sync/platform/cpu_registers.hpp>
#include <genserver/sync/platform/proc_task.hpp>
#include <genserver/sync/platform/stack_memory.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

#include <sys/syscall.h>

namespace genserver::inline v0::platform {

/// Walks the stack of a thread that sleeps in the kernel, from a copy.
///
/// The copy is whole because the thread did not run meanwhile: it slept at the same place before
/// and after, and the scheduler's counters show that it was not taken off a processor in between,
/// which it would have to be after each run. The kernel tells only the stack pointer and the
/// program counter; the other registers come back as the walk finds where they were saved.
///
/// Returns where the thread sleeps; nothing if it was running or /proc does not tell.
inline std::optional<KernelPlace> walk_sleeping(int thread, std::uintptr_t stack_high,
                                                WalkedStack& walked);

/// Returns whether a signal makes a sleeping system call fail although its handler has SA_RESTART:
/// those of signal(7), but for what depends on the arguments.
inline bool is_ended_by_signal(long system_call) noexcept;

namespace detail {

inline constexpr std::size_t largest_stack_copy = std::size_t{1} << 20;

// Whether the instruction before a return address calls `function`. An indirect call may; a direct
// one of another function may too, if that one jumps on.
enum class CallKind { none, maybe, certain };

#if defined(__x86_64__)

// Follows a lazy binding stub (`jmp *slot`) to the function that it jumps to.
inline std::uintptr_t behind_stub(std::uintptr_t target) noexcept {
  std::array<unsigned char, 16> code{};
  if (copy_if_mapped(code.data(), target, code.size()) != code.size()) return target;
  std::size_t at = code[0] == 0xf3 && code[1] == 0x0f ? 4 : 0;  // endbr64
  if (code[at] == 0xf2) ++at;                                   // bnd
  if (code[at] != 0xff || code[at + 1] != 0x25) return target;
  std::int32_t distance = 0;
  std::memcpy(&distance, code.data() + at + 2, sizeof distance);
  const std::uintptr_t next = target + at + 6;
  const std::uintptr_t slot = next + static_cast<std::uintptr_t>(std::intptr_t{distance});
  std::uintptr_t function = 0;
  return copy_if_mapped(&function, slot, sizeof function) == sizeof function ? function : target;
}

inline CallKind call_before(std::uintptr_t return_address, std::uintptr_t function) noexcept {
  std::array<unsigned char, 8> code{};
  if (return_address < code.size() ||
      copy_if_mapped(code.data(), return_address - code.size(), code.size()) != code.size()) {
    return CallKind::none;
  }
  if (code[3] == 0xe8) {
    std::int32_t distance = 0;
    std::memcpy(&distance, code.data() + 4, sizeof distance);
    const std::uintptr_t target =
        return_address + static_cast<std::uintptr_t>(std::intptr_t{distance});
    const bool is_it = target == function || behind_stub(target) == function;
    return is_it ? CallKind::certain : CallKind::maybe;
  }
  // call *operand: opcode FF, 2 in the middle of the next byte; 2 to 7 bytes long.
  for (std::size_t length = 2; length <= 7; ++length) {
    const std::size_t at = code.size() - length;
    if (code[at] == 0xff && (code[at + 1] >> 3 & 7) == 2) return CallKind::maybe;
  }
  return CallKind::none;
}

// How far below the frame pointer the lowest register lies that the function saved.
inline std::uintptr_t saved_size(const FrameEntry& entry, std::uintptr_t address) noexcept {
  std::int64_t size = 0;
  const auto row = rules_at(entry, address);
  if (!row) return 0;
  for (std::size_t number = 0; number < Registers::count; ++number) {
    if (row->rules[number] != CfiRule::at_offset) continue;
    size = std::max(size, -(row->operands[number] + row->frame_operand));
  }
  return static_cast<std::uintptr_t>(size);
}

// The size of the frame below the frame pointer that a function's first instructions make:
// push rbp; mov rbp, rsp; further pushes; sub rsp, size. Others may stand between these: the pushes
// behind such a one are known by what they `saved`.
inline std::optional<std::uintptr_t> prologue_size(std::uintptr_t function,
                                                   std::uintptr_t saved) noexcept {
  std::array<unsigned char, 256> code{};  // what cannot be read is 0, which is no instruction of it
  copy_if_mapped(code.data(), function, code.size());
  const auto has = [&code](std::size_t at, unsigned char second, unsigned char third) {
    return code[at] == 0x48 && code[at + 1] == second && code[at + 2] == third;
  };
  constexpr std::size_t latest = 192;
  std::size_t at = 1;
  while (at < latest && !has(at, 0x89, 0xe5) && !has(at, 0x8b, 0xec)) ++at;  // mov rbp, rsp
  if (at == latest) return std::nullopt;
  at += 3;
  std::uintptr_t size = 0;
  for (; at < latest + 32; ++at) {
    if (code[at] == 0x41 && code[at + 1] >> 3 == 0x50 >> 3) ++at;  // push r8 .. r15
    if (code[at] >> 3 != 0x50 >> 3) break;
    size += 8;
  }
  size = std::max(size, saved);
  for (const std::size_t end = at + 24; at < end; ++at) {
    if (has(at, 0x83, 0xec)) return size + code[at + 3];
    if (!has(at, 0x81, 0xec)) continue;
    std::uint32_t room = 0;
    std::memcpy(&room, code.data() + at + 3, sizeof room);
    return size + room;
  }
  return size;
}

// Finds the frame pointer of a function that stands in a call: where its first instructions put
// it, else where a saved frame pointer and a return address lie whose call leads to the function.
inline bool find_frame_pointer(Registers& registers, std::uintptr_t address,
                               const StackMemory& memory) noexcept {
  const auto entry = find_frame_entry(address);
  if (!entry) return false;
  const auto stack = static_cast<std::uintptr_t>(registers[Registers::stack]);
  const auto call_at = [&](std::uintptr_t frame) {
    std::uint64_t target = 0;
    if (!memory.read(frame + 8, target) || target < 4096) return CallKind::none;
    return call_before(static_cast<std::uintptr_t>(target), entry->function_begin);
  };
  if (const auto size = prologue_size(entry->function_begin, saved_size(*entry, address))) {
    constexpr std::uintptr_t most_arguments = 64;  // that the call pushed below the frame
    for (std::uintptr_t pushed = 0; pushed <= most_arguments; pushed += 8) {
      if (call_at(stack + *size + pushed) == CallKind::none) continue;
      registers.set(Registers::frame, stack + *size + pushed);
      return true;
    }
  }
  constexpr std::uintptr_t farthest = 16 * 1024;
  for (std::uintptr_t frame = stack; frame < memory.high() && frame - stack < farthest;
       frame += 8) {
    if (call_at(frame) == CallKind::certain) {
      registers.set(Registers::frame, frame);
      return true;
    }
  }
  return false;
}

#else

// On aarch64 the frame register points to a pair of frame register and return address, but a call
// leaves no trace in the caller's instruction by which a pair could be confirmed safely.
inline bool find_frame_pointer(Registers&, std::uintptr_t, const StackMemory&) noexcept {
  return false;
}

#endif

inline void walk_copy(const KernelPlace& place, const StackMemory& memory, WalkedStack& walked) {
  Registers registers;
  registers.set(Registers::stack, place.stack);
  registers.set(Registers::program, place.program);
  StackWalk walk{registers, memory};
  walked.count = 0;
  StackWalk::Step step = StackWalk::Step::went_on;
  while (step == StackWalk::Step::went_on && walked.count < walked.addresses.size()) {
    walked.addresses[walked.count++] = walk.address();
    step = walk.step();
    if (step == StackWalk::Step::needs_frame &&
        find_frame_pointer(walk.registers(), walk.address(), memory)) {
      step = walk.step();
    }
  }
  walked.is_complete = step == StackWalk::Step::at_end;
}

}  // namespace detail

inline std::optional<KernelPlace> walk_sleeping(int thread, std::uintptr_t stack_high,
                                                WalkedStack& walked) {
  constexpr std::uintptr_t red_zone = 128;
  walked.count = 0;
  walked.is_complete = false;
  const ProcTask task{thread};
  const auto status = task.status();
  const auto place = task.place();
  if (!status || !place || !place->is_sleeping) return std::nullopt;
  const auto has_run = [&] { return task.place() != place || task.status() != status; };
  const std::uintptr_t low = place->stack - red_zone;
  // Above the thread's own stack it is on another one (a fiber); the copy ends where memory does.
  const std::size_t wanted = low < stack_high ? stack_high - low : std::size_t{64} << 10;
  const std::size_t size = std::min(wanted, detail::largest_stack_copy);
  const std::unique_ptr<std::byte[]> copy{new std::byte[size]};  // whose bytes are not set
  const std::size_t copied = copy_if_mapped(copy.get(), low, size);
  if (copied == 0 || has_run()) return std::nullopt;

  detail::walk_copy(*place, StackMemory::copied(copy.get(), low, copied), walked);
  // A walk may leave a copy that does not reach up to the thread's first function.
  const bool is_whole = low < stack_high && copied == stack_high - low;
  if (!is_whole && has_run()) return std::nullopt;
  return place;
}

inline bool is_ended_by_signal(long system_call) noexcept {
  switch (system_call) {
#if defined(SYS_poll)  // what newer processors never had
    case SYS_poll:
    case SYS_select:
    case SYS_epoll_wait:
    case SYS_pause:
#endif
#if defined(SYS_epoll_pwait2)
    case SYS_epoll_pwait2:
#endif
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_epoll_pwait:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_restart_syscall:  // one of these, after a stop
    case SYS_rt_sigtimedwait:
    case SYS_rt_sigsuspend:
    case SYS_semop:
    case SYS_semtimedop:
    case SYS_msgrcv:
    case SYS_msgsnd:
    case SYS_io_getevents: return true;
    default: return false;
  }
}

}  // namespace genserver::v0::platform
