// SPDX-License-Identifier: BSL-1.0
// A walk along a stack, by the unwind tables of Windows for x86-64.
//
// The stack is that of the walking thread, or a copy: the pointers into the stack that come into
// registers on the way are then led into the copy, one frame after the other.
#pragma once

#if defined(_WIN32)

#include <genserver/sync/platform/stack_raw.hpp>
#include <genserver/sync/platform/windows_api.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace genserver::inline v0::platform {

/// The registers of a thread, laid out as CONTEXT of Windows.
struct alignas(16) ThreadContext {
  static constexpr std::uint32_t wanted = 0x100003;  // CONTEXT_CONTROL | CONTEXT_INTEGER
  static constexpr std::size_t stack = 4;            // rsp among the registers

  std::array<std::byte, 0x30> homes;
  std::uint32_t flags;
  std::array<std::byte, 0x44> segments;
  std::array<std::uint64_t, 16> registers;  // by the processor's numbers
  std::uint64_t program;
  std::array<std::byte, 0x3d0> vectors;
};
static_assert(sizeof(ThreadContext) == 0x4d0);

/// Part of a stack, and where it can be read.
struct StackPart {
  /// Returns whether `size` bytes at `address`, which is one in the copy, can be read.
  [[nodiscard]] bool holds(std::uint64_t address, std::uint64_t size) const noexcept {
    const std::uint64_t depth = address - (low + moved);
    return depth <= high - low && size <= high - low - depth;
  }
  /// Leads the registers that point into the stack into the copy.
  void lead(ThreadContext& context) const noexcept {
    for (std::uint64_t& value : context.registers) {
      if (value >= low && value < high) value += moved;
    }
  }

  std::uint64_t low;
  std::uint64_t high;
  std::uint64_t moved;  // what leads to the copy when it is added, wrapping around
};

namespace windows {

extern "C" __declspec(dllimport) void __stdcall RtlCaptureContext(_CONTEXT* context);

}  // namespace windows

namespace detail {

// RUNTIME_FUNCTION; all three count from the beginning of the image.
struct FunctionEntry {
  std::uint32_t begin;
  std::uint32_t end;
  std::uint32_t unwind;
};

// Looked up, since their types have other names in other versions of Windows' headers.
struct Unwinding {
  using Lookup = const FunctionEntry* __stdcall(std::uint64_t address, std::uint64_t* image,
                                                void* history);
  using Unwind = void* __stdcall(windows::Word handler_type, std::uint64_t image,
                                 std::uint64_t address, const FunctionEntry* entry,
                                 ThreadContext* context, void** handler, std::uint64_t* frame,
                                 void* places);

  static const Unwinding& instance() noexcept {
    static const windows::Module ntdll = windows::GetModuleHandleW(L"ntdll.dll");
    static const Unwinding functions{
        windows::find_function<Lookup>(ntdll, "RtlLookupFunctionEntry"),
        windows::find_function<Unwind>(ntdll, "RtlVirtualUnwind")};
    return functions;
  }

  Lookup* lookup;
  Unwind* unwind;
};

// Returns the entry of the function in which `address` lies, null if it has none.
inline const FunctionEntry* function_entry(std::uint64_t address, std::uint64_t& image) noexcept {
  return Unwinding::instance().lookup(address, &image, nullptr);
}

// One UNWIND_INFO: how a function's prologue builds its frame.
class FrameDescription {
 public:
  explicit FrameDescription(std::uint64_t address) noexcept
      : bytes_{reinterpret_cast<const std::uint8_t*>(address)} {}

  [[nodiscard]] bool is_known() const noexcept { return (bytes_[0] & 7U) - 1U < 2U; }
  // 0: rsp.
  [[nodiscard]] std::size_t base_register() const noexcept { return bytes_[3] & 15U; }
  [[nodiscard]] std::uint64_t base_offset() const noexcept { return bytes_[3] / 16U * 16U; }
  // How far above its base the unwinder may read.
  [[nodiscard]] std::uint64_t size() const noexcept;
  // The entry that goes on with the description; null if this is all.
  [[nodiscard]] const FunctionEntry* next() const noexcept {
    if ((bytes_[0] >> 3U & 4U) == 0) return nullptr;
    const std::size_t slots = (bytes_[2] + 1U) / 2U * 2U;
    return reinterpret_cast<const FunctionEntry*>(bytes_ + 4 + 2 * slots);
  }

 private:
  [[nodiscard]] std::uint32_t slot(std::size_t index) const noexcept {
    return bytes_[4 + 2 * index] | static_cast<std::uint32_t>(bytes_[5 + 2 * index]) << 8U;
  }

  const std::uint8_t* bytes_;
};

inline std::uint64_t FrameDescription::size() const noexcept {
  // Slots that each operation takes: push, large and small allocation, set base, save near and
  // far, epilogue, reserved, save vector near and far, machine frame.
  constexpr std::uint8_t slots[16] = {1, 2, 1, 1, 2, 3, 2, 3, 2, 3, 1, 1, 1, 1, 1, 1};
  std::uint64_t size = 8;  // the return address
  for (std::size_t index = 0; index < bytes_[2];) {
    const std::uint32_t operation = slot(index) >> 8U & 15U;
    const std::uint32_t value = slot(index) >> 12U;
    if (operation == 0) size += 8;
    if (operation == 1 && value == 0) size += std::uint64_t{8} * slot(index + 1);
    if (operation == 1 && value != 0) size += slot(index + 1) | slot(index + 2) << 16U;
    if (operation == 2) size += 8 * value + 8;
    if (operation == 10) size += 48;
    index += slots[operation] + (operation == 1 && value != 0 ? 1U : 0U);
  }
  return size;
}

// Whether all that the unwinder is going to read is there: what is saved lies within the frame. A
// wrong return address, as of a function that has no description but needs one, must not end in
// a crash.
inline bool is_frame_there(const ThreadContext& context, const StackPart& part,
                           const FunctionEntry* entry, std::uint64_t image) noexcept {
  std::uint64_t size = 0;
  std::uint64_t base = context.registers[ThreadContext::stack];
  for (int links = 0; entry != nullptr && links < 32; ++links) {
    const std::uint64_t address = image + (entry->unwind & ~std::uint32_t{1});
    if ((entry->unwind & 1U) != 0) {  // shares the description of another entry
      entry = reinterpret_cast<const FunctionEntry*>(address);
      continue;
    }
    const FrameDescription description{address};
    if (!description.is_known()) return false;
    size += description.size();
    if (const std::size_t number = description.base_register(); number != 0) {
      base = context.registers[number] - description.base_offset();
    }
    entry = description.next();
  }
  return part.holds(base, size) && part.holds(context.registers[ThreadContext::stack], 8);
}

// Goes to the caller; false if it cannot be found.
inline bool step(ThreadContext& context, const StackPart& part, bool is_innermost) {
  std::uint64_t& stack = context.registers[ThreadContext::stack];
  const std::uint64_t before = stack;
  std::uint64_t image = 0;
  const FunctionEntry* entry = function_entry(context.program, image);
  if (entry != nullptr) {
    if (!is_frame_there(context, part, entry, image)) return false;
    void* handler = nullptr;
    std::uint64_t frame = 0;
    Unwinding::instance().unwind(0, image, context.program, entry, &context, &handler, &frame,
                                 nullptr);
  } else {
    // Only a function that calls nothing and saves nothing may go without an entry; its caller
    // has one, or it was not such a function.
    if (!is_innermost || !part.holds(stack, sizeof context.program)) return false;
    std::memcpy(&context.program, reinterpret_cast<const void*>(stack), sizeof context.program);
    stack += sizeof context.program;
    if (function_entry(context.program, image) == nullptr) return false;
  }
  part.lead(context);
  return stack > before;
}

}  // namespace detail

/// Walks from `context`, whose registers lead into the copy already, and adds each address.
inline void walk(ThreadContext& context, const StackPart& part, RawStack& stack) {
  bool is_innermost = true;
  while (context.program != 0 && stack.count < stack.addresses.size()) {
    stack.addresses[stack.count++] = context.program - (is_innermost ? 0U : 1U);
    if (!detail::step(context, part, is_innermost)) return;
    is_innermost = false;
  }
  stack.is_complete = context.program == 0;  // the system starts threads with no return address
}

}  // namespace genserver::v0::platform

#endif
