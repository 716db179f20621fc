// SPDX-License-Identifier: BSL-1.0
// What the library tells a person when something goes wrong.
#pragma once

#include <genserver/base/error.hpp>
#include <genserver/base/stack_trace.hpp>

#include <fmt/core.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace genserver {

/// The stack of a server's thread.
struct ServerStack {
  std::string server{};
  Pid pid{};
  StackTrace stack{};
};

/// Somebody who waits for a server; `pid` is that of a server, or none for another thread.
struct WaitingCaller {
  std::string name{};
  Pid pid{};
  WaitKind kind = WaitKind::call;
  CallSite site{};
  std::chrono::nanoseconds age{};
};

/// One incident. Which fields are set depends on `kind`; text() shows those that are.
struct Report {
  enum class Kind {
    deadlock,   ///< Waiting would have closed a circle: cycle, stacks, outcome.
    stuck,      ///< A handler runs, or a caller waits, for too long: age, callers, cycle, stacks.
    crash,      ///< A server ended abnormally: reason, site of the message.
    abandoned,  ///< A server was killed while its handler runs: stacks.
    overflow    ///< A full mailbox refused or dropped requests: count, site of the last.
  };

  Kind kind = Kind::crash;
  std::string server{};
  Pid pid{};
  CallSite site{};                 ///< Where the message was sent that this is about.
  std::chrono::nanoseconds age{};  ///< How long that message has been running.
  std::size_t mailbox_size = 0;
  std::size_t mailbox_capacity = 0;
  std::uint64_t count = 0;         ///< Requests refused or dropped since the last report.
  ExitReason reason = ExitReason::normal();
  std::vector<WaitEdge> cycle{};   ///< Who waits for whom.
  std::vector<WaitingCaller> callers{};
  std::vector<ServerStack> stacks{};
  std::string outcome{};           ///< What the library did about it.

  /// Returns the report as lines of text, each ended by a newline.
  [[nodiscard]] std::string text() const;
};

/// Returns the kind as a word.
constexpr const char* to_string(Report::Kind kind) noexcept {
  constexpr const char* words[] = {"deadlock", "stuck", "crash", "abandoned", "overflow"};
  return words[static_cast<std::size_t>(kind)];
}

/// Returns "Connection:1 waits for Peer:2 (call at main.cpp:12 in main)".
inline std::string to_string(const WaitEdge& edge) {
  return fmt::format("{}:{} waits for {}:{} ({} at {})", edge.waiter, edge.waiter_pid.value(),
                     edge.target, edge.target_pid.value(), to_string(edge.kind),
                     to_string(edge.site));
}

/// Returns "1.2 s" or "250 ms".
inline std::string to_string(std::chrono::nanoseconds length) {
  const double seconds = std::chrono::duration<double>(length).count();
  if (seconds >= 0.9995) return fmt::format("{:.1f} s", seconds);
  return fmt::format("{:.0f} ms", seconds * 1000);
}

namespace detail {

inline std::string headline(const Report& report) {
  const std::string who = fmt::format("{}:{}", report.server, report.pid.value());
  switch (report.kind) {
    case Report::Kind::deadlock: return fmt::format("deadlock of {} servers", report.cycle.size());
    case Report::Kind::stuck:
      if (report.age.count() == 0) return fmt::format("callers of {} wait for long", who);
      return fmt::format("{} is stuck: one handler runs for {}", who, to_string(report.age));
    case Report::Kind::crash: return fmt::format("{} ended: {}", who, report.reason.what());
    case Report::Kind::abandoned: return fmt::format("{} was abandoned in its handler", who);
    case Report::Kind::overflow:
      return fmt::format("mailbox of {} is full: {} refused or dropped", who, report.count);
  }
  return who;
}

inline std::string to_string(const WaitingCaller& caller) {
  const std::string who = caller.pid == Pid{}
                              ? caller.name
                              : fmt::format("{}:{}", caller.name, caller.pid.value());
  return fmt::format("{} has waited {} ({} at {})", who, genserver::to_string(caller.age),
                     genserver::to_string(caller.kind), genserver::to_string(caller.site));
}

}  // namespace detail

inline std::string Report::text() const {
  std::string lines = "genserver: " + detail::headline(*this) + "\n";
  if (site.line != 0) lines += "  the message was sent at " + to_string(site) + "\n";
  for (const WaitEdge& edge : cycle) lines += "  " + to_string(edge) + "\n";
  for (const WaitingCaller& caller : callers) lines += "  " + detail::to_string(caller) + "\n";
  if (mailbox_capacity != 0) {
    lines += fmt::format("  mailbox: {} of {} places taken\n", mailbox_size, mailbox_capacity);
  }
  for (const ServerStack& member : stacks) {
    lines += fmt::format("  stack of {}:{}\n", member.server, member.pid.value());
    lines += to_text(member.stack, "    ");
  }
  if (!outcome.empty()) lines += "  " + outcome + "\n";
  return lines;
}

}  // namespace genserver
