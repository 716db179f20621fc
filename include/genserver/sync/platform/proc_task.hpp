// SPDX-License-Identifier: BSL-1.0
// What the kernel tells of another thread of this process: /proc/self/task.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace genserver::inline v0::platform {

/// Whether and where a thread sleeps in the kernel.
struct KernelPlace {
  bool is_sleeping = false;
  long system_call = -1;  // -1: sleeps, but not in a system call
  std::uintptr_t stack = 0;
  std::uintptr_t program = 0;

  friend bool operator==(const KernelPlace&, const KernelPlace&) = default;
};

/// The scheduler's view.
struct KernelStatus {
  char state = '?';  // R running, S sleeping, D sleeping and deaf to signals, t stopped, Z ended
  std::uint64_t blocked_signals = 0;
  std::uint64_t pending_signals = 0;  // sent to this thread, not yet taken by it
  std::uint64_t switches = 0;         // how often it was taken off a processor

  friend bool operator==(const KernelStatus&, const KernelStatus&) = default;
};

/// Reads the files of one thread. No locks, no stdio: a stuck thread may hold those.
class ProcTask {
 public:
  explicit ProcTask(int thread) : folder_{"/proc/self/task/" + std::to_string(thread) + '/'} {}

  /// Returns where the thread is; nothing if the kernel does not tell.
  [[nodiscard]] std::optional<KernelPlace> place() const;
  [[nodiscard]] std::optional<KernelStatus> status() const;
  /// Returns the kernel function in which it sleeps, or nothing.
  [[nodiscard]] std::string kernel_function() const { return read("wchan"); }

 private:
  std::string read(const char* name) const;

  std::string folder_;
};

namespace detail {

// The number after `label` in a file of lines "label value".
inline std::uint64_t number_after(std::string_view text, std::string_view label, int base) {
  const std::size_t at = text.find(label);
  if (at == std::string_view::npos) return 0;
  return std::strtoull(text.data() + at + label.size(), nullptr, base);  // text is 0-terminated
}

}  // namespace detail

inline std::string ProcTask::read(const char* name) const {
  std::string text;
  const int file = ::open((folder_ + name).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  std::array<char, 1024> part;
  for (ssize_t length; (length = ::read(file, part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(length));
  }
  ::close(file);
  return text;
}

inline std::optional<KernelPlace> ProcTask::place() const {
  // "running", or "-1 SP PC", or "number six-arguments SP PC".
  const std::string text = read("syscall");
  if (text.empty()) return std::nullopt;
  KernelPlace place;
  if (text.starts_with("running")) return place;
  const std::size_t last = text.find_last_of(' ');
  if (last == std::string::npos || last == 0) return std::nullopt;
  const std::size_t before_last = text.find_last_of(' ', last - 1);
  if (before_last == std::string::npos) return std::nullopt;
  place.is_sleeping = true;
  place.system_call = std::strtol(text.c_str(), nullptr, 10);
  place.stack = std::strtoull(text.c_str() + before_last, nullptr, 16);
  place.program = std::strtoull(text.c_str() + last, nullptr, 16);
  return place;
}

inline std::optional<KernelStatus> ProcTask::status() const {
  const std::string text = read("status");
  const std::size_t state = text.find("State:\t");
  if (state == std::string::npos || state + 7 >= text.size()) return std::nullopt;
  KernelStatus status;
  status.state = text[state + 7];
  status.blocked_signals = detail::number_after(text, "SigBlk:\t", 16);
  status.pending_signals = detail::number_after(text, "SigPnd:\t", 16);
  // The first label is the end of the second one too, so each is found with its line break.
  status.switches = detail::number_after(text, "\nvoluntary_ctxt_switches:\t", 10) +
                    detail::number_after(text, "\nnonvoluntary_ctxt_switches:\t", 10);
  return status;
}

}  // namespace genserver::v0::platform
