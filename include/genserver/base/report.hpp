// SPDX-License-Identifier: BSL-1.0
// What the library tells a person when something goes wrong.
#pragma once

#include <genserver/base/error.hpp>
#include <genserver/base/json.hpp>
#include <genserver/base/report_json.hpp>
#include <genserver/base/stack_trace.hpp>
#include <genserver/base/text_lines.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

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

/// One incident. Which fields are set depends on `kind`; text() and json() show those that are.
struct Report {
  enum class Kind {
    deadlock,   ///< Waiting would have closed a circle: cycle, stacks, outcome.
    stuck,      ///< A handler runs, or a caller waits, for too long: age, site and client of its
                ///< message, cycle, callers, mailbox, stacks.
    crash,      ///< A server ended abnormally: reason, site and client of the message.
    abandoned,  ///< A server was killed while its handler runs: stacks.
    overflow,   ///< A full mailbox refused or dropped requests: count, mailbox, site of the last.
    supervisor  ///< A child did not start, or not end, or too often: child, reason, site of its
                ///< specification, outcome. `server` is the supervisor.
  };

  Kind kind = Kind::crash;
  std::string server{};
  Pid pid{};
  std::string child{};             ///< The id of a supervisor's child.
  CallSite site{};                 ///< Where the message was sent that this is about.
  std::string client{};            ///< Who sent it: a server, or a thread if there is no pid.
  Pid client_pid{};
  std::chrono::nanoseconds age{};  ///< How long that message has been running.
  std::size_t mailbox_size = 0;
  std::size_t mailbox_capacity = 0;
  std::uint64_t count = 0;         ///< Requests refused or dropped since the last report.
  ExitReason reason = ExitReason::normal();
  std::vector<WaitEdge> cycle{};   ///< Who waits for whom.
  std::vector<WaitingCaller> callers{};
  std::vector<ServerStack> stacks{};
  std::string outcome{};           ///< What the library did about it.

  /// Returns the report for a person: lines of at most 80 columns where names allow that, each
  /// ended by a newline. Of many callers it shows the first ten.
  [[nodiscard]] std::string text() const;

  /// Returns the report for a program: a JSON object on one line. Its members have the names of
  /// the fields, but for `age_ns` and `mailbox` {size, capacity}. What is not set is left out.
  [[nodiscard]] std::string json() const;
};

/// Returns the kind as a word.
constexpr const char* to_string(Report::Kind kind) noexcept {
  constexpr const char* words[] = {"deadlock",  "stuck",    "crash",
                                   "abandoned", "overflow", "supervisor"};
  return words[static_cast<std::size_t>(kind)];
}

/// Returns "3 h 10 min", "2 min 5 s", "1.2 s", "250 ms", "450 us" or "85 ns".
inline std::string to_string(std::chrono::nanoseconds length) {
  const double seconds = std::chrono::duration<double>(length).count();
  const long long whole = std::llround(seconds);
  const long long minutes = std::llround(seconds / 60);
  if (whole >= 3600) {
    return std::to_string(minutes / 60) + " h " + std::to_string(minutes % 60) + " min";
  }
  if (whole >= 120) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  if (seconds >= 0.9995) return fmt::format("{:.1f} s", seconds);
  if (seconds >= 0.9995e-3) return fmt::format("{:.0f} ms", seconds * 1e3);
  if (seconds >= 0.9995e-6) return fmt::format("{:.0f} us", seconds * 1e6);
  return std::to_string(length.count()) + " ns";
}

namespace detail {

// "Connection:1", or the name alone of who is no server.
inline std::string name_of(const std::string& name, Pid pid) {
  return pid == Pid{} ? name : name + ":" + std::to_string(pid.value());
}

// An edge or another line in two phrases: first who, then where or what.
using Phrases = std::pair<std::string, std::string>;

inline Phrases phrases_of(const WaitEdge& edge) {
  const std::string age = edge.age.count() == 0 ? "" : ", for " + genserver::to_string(edge.age);
  const std::string kind = to_string(edge.kind);
  return {name_of(edge.waiter, edge.waiter_pid) + " waits for " +
              name_of(edge.target, edge.target_pid),
          "(" + kind + " at " + to_string(edge.site) + ")" + age};
}

inline Phrases headline(const Report& report) {
  const std::string who = name_of(report.server, report.pid);
  switch (report.kind) {
    case Report::Kind::deadlock:
      return {"deadlock of " + std::to_string(report.cycle.size()) + " servers", ""};
    case Report::Kind::stuck:
      if (report.age.count() == 0) return {"callers of " + who + " have been waiting long", ""};
      return {who + " is stuck:",
              "one handler has been running for " + genserver::to_string(report.age)};
    case Report::Kind::crash: return {who + " ended:", report.reason.what()};
    case Report::Kind::abandoned: return {who + " was abandoned in its handler", ""};
    case Report::Kind::overflow:
      return {"mailbox of " + who + " is full:",
              std::to_string(report.count) + (report.count == 1 ? " request" : " requests") +
                  " refused or dropped since the last report"};
    case Report::Kind::supervisor:
      return {"child \"" + report.child + "\" of " + who + ":", report.reason.what()};
  }
  return {who, ""};
}

// Who sent the message and where; empty if neither is known.
inline Phrases sender_of(const Report& report) {
  if (report.client.empty() && report.site.line == 0) return {};
  std::string who = "the message was sent";
  if (report.kind == Report::Kind::overflow) who = "the last one was sent";
  if (report.kind == Report::Kind::supervisor) who = "its specification was made";
  if (!report.client.empty()) who += " by " + name_of(report.client, report.client_pid);
  return {who, report.site.line == 0 ? "" : "at " + to_string(report.site)};
}

// The exceptions nested in `error` (std::throw_with_nested), the outer ones first.
inline std::vector<std::string> nested_in(std::exception_ptr error) {
  constexpr std::size_t most = 16;
  std::vector<std::string> found;
  while (error && found.size() < most) {
    std::exception_ptr inner;
    try {
      std::rethrow_exception(error);
    } catch (const std::nested_exception& outer) {
      inner = outer.nested_ptr();
    } catch (...) {  // the innermost
    }
    if (inner) found.push_back(describe(inner));
    error = inner;
  }
  return found;
}

inline void add_callers(TextLines& lines, const Report& report) {
  constexpr std::size_t most = 10;
  const std::size_t shown = std::min(report.callers.size(), most);
  for (std::size_t number = 0; number < shown; ++number) {
    const WaitingCaller& caller = report.callers[number];
    const auto [who, where] = phrases_of(
        {caller.name, caller.pid, report.server, report.pid, caller.kind, caller.site, caller.age});
    lines.add("  ", {who, where});
  }
  if (shown == report.callers.size()) return;
  lines.add("  ", {"and " + std::to_string(report.callers.size() - shown) + " more callers"});
}

}  // namespace detail

/// Returns "Connection:1 waits for Peer:2 (call at main.cpp:12 in main), for 3.2 s", without the
/// time if the age is 0.
inline std::string to_string(const WaitEdge& edge) {
  const auto [who, where] = detail::phrases_of(edge);
  return who + ' ' + where;
}

inline std::string Report::text() const {
  TextLines lines;
  const auto [first, rest] = detail::headline(*this);
  lines.add("", {"genserver: " + first, rest});
  for (const std::string& cause : detail::nested_in(reason.cause())) {
    lines.add("  ", {"caused by: " + cause});
  }
  const auto [sender, place] = detail::sender_of(*this);
  if (!sender.empty()) lines.add("  ", {sender, place});
  for (const WaitEdge& edge : cycle) {
    const auto [who, where] = detail::phrases_of(edge);
    lines.add("  ", {who, where});
  }
  detail::add_callers(lines, *this);
  if (mailbox_capacity != 0) {
    lines.add("  ", {"mailbox: " + std::to_string(mailbox_size) + " of " +
                     std::to_string(mailbox_capacity) + " places taken"});
  }
  for (const ServerStack& member : stacks) {
    lines.add("  ", {"stack of " + detail::name_of(member.server, member.pid)});
    lines.add_lines(to_text(member.stack, "    "));
  }
  if (!outcome.empty()) lines.add("  ", {outcome});
  return lines.take();
}

/// Writes a reason as an object; `caused_by` has the texts of the exceptions nested in its own.
inline void write_json(JsonWriter& json, const ExitReason& reason) {
  constexpr const char* words[] = {"normal", "shutdown", "killed", "exception", "no server"};
  json.begin_object().member("kind", words[static_cast<std::size_t>(reason.kind())]);
  json.member("what", reason.what());
  const std::vector<std::string> causes = detail::nested_in(reason.cause());
  if (!causes.empty()) {
    json.key("caused_by").begin_array();
    for (const std::string& cause : causes) json.value(cause);
    json.end_array();
  }
  json.end_object();
}

/// Writes a caller as an object; it has no `pid` if it is no server.
inline void write_json(JsonWriter& json, const WaitingCaller& caller) {
  json.begin_object().member("name", caller.name);
  write_set(json, "pid", caller.pid.value());
  json.member("kind", to_string(caller.kind));
  write_site(json, caller.site);
  write_set(json, "age_ns", caller.age.count());
  json.end_object();
}

/// Writes a stack as an object, with all frames, also those that text() does not show.
inline void write_json(JsonWriter& json, const ServerStack& stack) {
  json.begin_object().member("server", stack.server);
  write_set(json, "pid", stack.pid.value());
  write_set(json, "note", stack.stack.note);
  write_array(json, "frames", stack.stack.frames);
  json.end_object();
}

inline std::string Report::json() const {
  JsonWriter json;
  json.begin_object().member("kind", to_string(kind));
  write_set(json, "server", server);
  write_set(json, "pid", pid.value());
  write_set(json, "child", child);
  write_set(json, "client", client);
  write_set(json, "client_pid", client_pid.value());
  write_site(json, site);
  write_set(json, "age_ns", age.count());
  if (mailbox_capacity != 0) {
    json.key("mailbox").begin_object().member("size", mailbox_size);
    json.member("capacity", mailbox_capacity).end_object();
  }
  write_set(json, "count", count);
  if (kind == Kind::crash || reason.kind() != ExitReason::Kind::normal) {
    write_json(json.key("reason"), reason);
  }
  write_array(json, "cycle", cycle);
  write_array(json, "callers", callers);
  write_array(json, "stacks", stacks);
  write_set(json, "outcome", outcome);
  return json.end_object().take();
}

}  // namespace genserver::v0
