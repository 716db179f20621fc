// SPDX-License-Identifier: BSL-1.0
// A snapshot as text for people, as JSON, and as a picture.
#pragma once

#include <genserver/base/json.hpp>
#include <genserver/base/report_json.hpp>
#include <genserver/base/text_lines.hpp>
#include <genserver/core/snapshot.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace genserver::inline v0 {

/// Returns a few lines for each server: what it is doing, whom it waits for, its numbers, and its
/// stack if that was asked for. Each line ends with a newline.
[[nodiscard]] std::string to_text(const Snapshot& snapshot);

/// Returns everything as one JSON object, on one line. Times are in nanoseconds.
[[nodiscard]] std::string to_json(const Snapshot& snapshot);

/// Returns who waits for whom in the language of Graphviz: `dot -Tsvg`. What is part of a circle is
/// red.
[[nodiscard]] std::string to_dot(const Snapshot& snapshot);

namespace detail {

/// Returns "128 ns", "2 us", "1 s": a limit of a histogram's bucket.
inline std::string rounded(std::chrono::nanoseconds length) {
  if (length == std::chrono::nanoseconds::max()) return "more than a minute";
  const double ns = static_cast<double>(length.count());
  if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e6) return fmt::format("{:.0f} us", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.0f} ms", ns / 1e6);
  return fmt::format("{:.0f} s", ns / 1e9);
}

inline std::string times_of(const char* what, const Histogram& times) {
  return std::string{what} + ": half within " + rounded(times.quantile(0.5)) + ", 99 % within " +
         rounded(times.quantile(0.99));
}

inline std::string counts_of(const ServerCounts& counts) {
  std::string text = "handled " + std::to_string(counts.handled);
  const auto add = [&](std::uint64_t count, const char* what) {
    if (count != 0) text += ", " + std::to_string(count) + " " + what;
  };
  add(counts.exceptions, "threw");
  add(counts.timed_out, "timed out");
  add(counts.refused, "refused");
  add(counts.dropped, "dropped");
  return text;
}

inline void add_message(TextLines& lines, const ServerSnapshot::CurrentMessage& message) {
  if (message.site.line == 0) return;
  std::string what = "handles what was sent";
  if (!message.sender.empty()) what += " by " + name_of(message.sender, message.sender_pid);
  lines.add("    ", {what, "at " + to_string(message.site)});
}

inline void add_server(TextLines& lines, const ServerSnapshot& server) {
  const std::string who = name_of(server.name, server.pid);
  std::string what = who + " is " + to_string(server.activity);
  if (server.message) what += " for " + to_string(server.message->age);
  lines.add("  ", {what + ",", "started " + to_string(server.age) + " ago"});
  if (server.message) add_message(lines, *server.message);
  if (server.waits_for) {
    const auto [waiter, where] = phrases_of(*server.waits_for);
    lines.add("    ", {waiter, where});
  }
  for (const WaitingCaller& caller : server.callers) {
    const auto [waiter, where] = phrases_of({caller.name, caller.pid, server.name, server.pid,
                                             caller.kind, caller.site, caller.age});
    lines.add("    ", {waiter, where});
  }
  lines.add("    ", {"mailbox: " + std::to_string(server.mailbox_size) + " of " +
                         std::to_string(server.mailbox_capacity) + " places taken, " +
                         std::to_string(server.mailbox_high_water) + " at most;",
                     counts_of(server.counts)});
  if (server.waiting.count() != 0) lines.add("    ", {times_of("waited", server.waiting)});
  if (server.handling.count() != 0) lines.add("    ", {times_of("ran", server.handling)});
  if (!server.stack.frames.empty() || !server.stack.note.empty()) {
    lines.add_lines(to_text(server.stack, "      "));
  }
}

inline void write_times(JsonWriter& json, std::string_view name, const Histogram& times) {
  if (times.count() == 0) return;
  json.key(name).begin_object();
  json.member("count", times.count());
  json.member("p50_ns", times.quantile(0.5).count());
  json.member("p90_ns", times.quantile(0.9).count());
  json.member("p99_ns", times.quantile(0.99).count());
  json.member("max_ns", times.quantile(1).count());
  json.key("buckets").begin_array();
  for (std::size_t bucket = 0; bucket < Histogram::bucket_count; ++bucket) {
    if (times.count(bucket) == 0) continue;
    json.begin_array().value(Histogram::limit(bucket).count()).value(times.count(bucket));
    json.end_array();
  }
  json.end_array().end_object();
}

inline void write_counts(JsonWriter& json, const ServerCounts& counts) {
  json.key("counts").begin_object();
  json.member("handled", counts.handled).member("exceptions", counts.exceptions);
  json.member("timed_out", counts.timed_out).member("refused", counts.refused);
  json.member("dropped", counts.dropped).end_object();
}

inline void write_message(JsonWriter& json, const ServerSnapshot::CurrentMessage& message) {
  json.key("message").begin_object().member("age_ns", message.age.count());
  write_site(json, message.site);
  write_set(json, "sender", message.sender);
  write_set(json, "sender_pid", message.sender_pid.value());
  json.end_object();
}

}  // namespace detail

inline void write_json(JsonWriter& json, const ServerSnapshot& server) {
  json.begin_object().member("server", server.name).member("pid", server.pid.value());
  json.member("activity", to_string(server.activity)).member("age_ns", server.age.count());
  json.key("mailbox").begin_object().member("size", server.mailbox_size);
  json.member("capacity", server.mailbox_capacity);
  json.member("high_water", server.mailbox_high_water).end_object();
  detail::write_counts(json, server.counts);
  if (server.message) detail::write_message(json, *server.message);
  if (server.waits_for) write_json(json.key("waits_for"), *server.waits_for);
  write_array(json, "callers", server.callers);
  detail::write_times(json, "waiting", server.waiting);
  detail::write_times(json, "handling", server.handling);
  if (!server.stack.frames.empty() || !server.stack.note.empty()) {
    write_json(json.key("stack"), ServerStack{server.name, server.pid, server.stack});
  }
  json.end_object();
}

namespace detail {

/// Returns the text between quotation marks as dot takes it.
inline std::string quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char sign : text) {
    if (sign == '"' || sign == '\\') quoted += '\\';
    if (sign == '\n') {
      quoted += "\\n";
    } else {
      quoted += static_cast<unsigned char>(sign) < ' ' ? ' ' : sign;
    }
  }
  return quoted + '"';
}

}  // namespace detail

inline std::string to_text(const Snapshot& snapshot) {
  TextLines lines;
  const std::size_t count = snapshot.servers.size();
  lines.add("", {std::to_string(count) + (count == 1 ? " server" : " servers")});
  for (const ServerSnapshot& server : snapshot.servers) detail::add_server(lines, server);
  return lines.take();
}

inline std::string to_json(const Snapshot& snapshot) {
  JsonWriter json;
  json.begin_object().key("servers").begin_array();
  for (const ServerSnapshot& server : snapshot.servers) write_json(json, server);
  json.end_array().end_object();
  return json.take();
}

inline std::string to_dot(const Snapshot& snapshot) {
  const std::vector<std::size_t> circle = snapshot.in_cycle();
  const auto color = [&](std::size_t index) {
    const bool is_member = std::binary_search(circle.begin(), circle.end(), index);
    return is_member ? ", color=red" : "";
  };
  std::string text = "digraph servers {\n  node [shape=box]\n";
  for (std::size_t index = 0; index < snapshot.servers.size(); ++index) {
    const ServerSnapshot& server = snapshot.servers[index];
    const std::string label = detail::name_of(server.name, server.pid) + "\n" +
                              to_string(server.activity) + ", " +
                              std::to_string(server.mailbox_size) + " of " +
                              std::to_string(server.mailbox_capacity);
    text += "  " + std::to_string(server.pid.value()) + " [label=" + detail::quoted(label) +
            color(index) + "]\n";
  }
  for (std::size_t index = 0; index < snapshot.servers.size(); ++index) {
    const auto& edge = snapshot.servers[index].waits_for;
    if (!edge) continue;
    const std::string label = to_string(edge->kind) + (" at " + to_string(edge->site));
    text += "  " + std::to_string(snapshot.servers[index].pid.value()) + " -> " +
            std::to_string(edge->target_pid.value()) + " [label=" + detail::quoted(label) +
            color(index) + "]\n";
  }
  return text + "}\n";
}

}  // namespace genserver::v0
