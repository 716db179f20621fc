// SPDX-License-Identifier: BSL-1.0
// A picture of all servers at one moment.
#pragma once

#include <genserver/base/error.hpp>
#include <genserver/base/histogram.hpp>
#include <genserver/base/report.hpp>
#include <genserver/core/directory.hpp>
#include <genserver/core/wait_graph.hpp>
#include <genserver/sync/platform/process.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// One server, as it was when nobody asked it.
struct ServerSnapshot {
  enum class Activity {
    starting,   ///< Its State is being made.
    idle,       ///< It waits for messages.
    running,    ///< A handler runs.
    waiting,    ///< A handler runs, and waits for another server: `waits_for`.
    suspended,  ///< It keeps messages until it is resumed.
    stopping,   ///< It takes no more messages: terminate, or State's destructor, runs.
    abandoned   ///< It was killed, and has ended for all others, but its handler still runs.
  };

  /// A message that is being handled.
  struct CurrentMessage {
    CallSite site{};        ///< Where it was sent; unknown for what the library itself does.
    std::string sender{};   ///< The server that sent it, if one did and is still there.
    Pid sender_pid{};
    /// How long it has been running. Exact for the first message after a pause, and for servers
    /// whose handlers take longer than a few microseconds; else it may include some before it.
    std::chrono::nanoseconds age{};
  };

  std::string name{};
  Pid pid{};
  Activity activity = Activity::idle;
  std::chrono::nanoseconds age{};  ///< Since it was started.
  std::size_t mailbox_size = 0;    ///< Messages that take a place; calls do not.
  std::size_t mailbox_capacity = 0;
  std::size_t mailbox_high_water = 0;  ///< The largest mailbox_size since it was started.
  ServerCounts counts{};               ///< What it has handled, refused and so on since then.
  std::optional<CurrentMessage> message{};
  std::optional<WaitEdge> waits_for{};
  std::vector<WaitingCaller> callers{};  ///< Those who have waited long: half of stuck_after.
  /// How long messages waited in the mailbox, and handlers ran. Of short ones only a part was
  /// measured, and counts for all.
  Histogram waiting{};
  Histogram handling{};
  StackTrace stack{};  ///< Of its thread, if asked for.
};

/// Returns the activity as a word.
constexpr const char* to_string(ServerSnapshot::Activity activity) noexcept {
  constexpr const char* words[] = {"starting",  "idle",     "running",  "waiting",
                                   "suspended", "stopping", "abandoned"};
  return words[static_cast<std::size_t>(activity)];
}

/// All servers, ordered by pid. Each is true for itself, but not all for the same instant.
struct Snapshot {
  std::vector<ServerSnapshot> servers{};

  /// Returns the indices of servers that wait for each other in a circle, which may have been
  /// gone a moment later.
  [[nodiscard]] std::vector<std::size_t> in_cycle() const;
  /// Returns where the server with this pid is in `servers`.
  [[nodiscard]] std::optional<std::size_t> find(Pid pid) const;
};

/// Whether a snapshot shows what the servers' threads are doing.
enum class Stacks { none, all };

/// Looks at every live server, without disturbing any; but a stack of one that runs is taken by a
/// signal, as backtrace.hpp tells.
///
/// Blocks:  never for a server; up to a second for each stack that is hard to get.
/// Threads: any, handlers included.
/// Throws:  Forked.
/// Cost:    microseconds for a server, and as many for each record if it handles what another
///          server sent; with stacks 0.1 ms more, and some more the first time.
/// Erlang:  erlang:processes/0, erlang:process_info/1, sys:get_status/1.
Snapshot snapshot(Stacks stacks = Stacks::none);

namespace detail {

inline ServerSnapshot::Activity activity_of(const ServerRecord& record, bool is_running,
                                            bool is_waiting) {
  using Activity = ServerSnapshot::Activity;
  switch (record.life()) {
    case ServerRecord::Life::starting: return is_waiting ? Activity::waiting : Activity::starting;
    case ServerRecord::Life::stopping: return Activity::stopping;
    case ServerRecord::Life::abandoned: return Activity::abandoned;
    case ServerRecord::Life::gone:
    case ServerRecord::Life::serving: break;
  }
  if (is_waiting) return Activity::waiting;
  if (is_running) return Activity::running;
  return record.is_suspended() ? Activity::suspended : Activity::idle;
}

/// Reads what belongs to the message that runs, if it is still the same afterwards.
inline std::optional<ServerSnapshot::CurrentMessage> message_of(ServerRecord& record) {
  const std::uint64_t turn = record.turn();
  if (turn % 2 == 0) return std::nullopt;
  ServerSnapshot::CurrentMessage message;
  message.site = record.message_site();
  const std::uint32_t sender = record.message_sender();
  message.age = std::max(std::chrono::nanoseconds{0},
                         std::chrono::nanoseconds{ServerMeter::Clock::now() -
                                                  record.meter().message_began()});
  if (record.turn() != turn) return std::nullopt;
  std::tie(message.sender, message.sender_pid) = Directory::instance().find(sender);
  return message;
}

inline std::optional<ServerSnapshot> snapshot_of(ServerRecord& record) {
  ServerSnapshot server;
  const auto now = ServerMeter::Clock::now();
  bool is_at_rest = false;
  const bool is_there = record.with_identity([&](const ServerIdentity& identity) {
    server.name = identity.name;
    server.pid = identity.pid;
    server.mailbox_size = identity.mailbox->size();
    server.mailbox_capacity = identity.mailbox->capacity();
    server.mailbox_high_water = identity.mailbox->high_water();
    is_at_rest = identity.mailbox->is_idle();
  });
  const bool is_abandoned = record.life() == ServerRecord::Life::abandoned;
  if (!is_there || (record.is_over() && !is_abandoned)) return std::nullopt;
  server.message = message_of(record);
  server.waits_for = Waiting::current(record);
  // Between two messages it runs, too.
  const bool is_running = server.message || (!is_at_rest && !record.is_suspended());
  server.activity = activity_of(record, is_running, server.waits_for.has_value());
  record.with_long_waits([&](const std::vector<LongWait*>& long_waits) {
    for (const LongWait* const wait : long_waits) {
      server.callers.push_back(wait->caller);
      server.callers.back().age = now - wait->since;
    }
  });
  ServerMeter& meter = record.meter();
  const std::chrono::nanoseconds age = now - meter.started();
  server.age = std::max(std::chrono::nanoseconds{0}, age);
  server.counts = meter.counts();
  server.waiting = meter.waiting();
  server.handling = meter.handling();
  meter.measure_next();  // so that the next snapshot's age is a better one
  bool is_same = false;  // else the record has gone to another server meanwhile
  record.with_identity(
      [&](const ServerIdentity& identity) { is_same = identity.pid == server.pid; });
  return is_same ? std::optional{std::move(server)} : std::nullopt;
}

}  // namespace detail

inline Snapshot snapshot(Stacks stacks) {
  if (is_forked_child()) throw Forked{"a snapshot was asked for in a child made by fork()"};
  Snapshot all;
  std::vector<RawStack> addresses;  // named only when all are taken: that takes far longer
  Directory::instance().for_each([&](ServerRecord& record) {
    auto server = detail::snapshot_of(record);
    if (!server) return;
    all.servers.push_back(std::move(*server));
    if (stacks == Stacks::all) addresses.push_back(record.runner_addresses());
  });
  for (std::size_t index = 0; index < addresses.size(); ++index) {
    all.servers[index].stack = symbolize(addresses[index]);
  }
  std::sort(all.servers.begin(), all.servers.end(),
            [](const ServerSnapshot& a, const ServerSnapshot& b) { return a.pid < b.pid; });
  return all;
}

inline std::optional<std::size_t> Snapshot::find(Pid pid) const {
  const auto found =
      std::lower_bound(servers.begin(), servers.end(), pid,
                       [](const ServerSnapshot& other, Pid sought) { return other.pid < sought; });
  if (found == servers.end() || found->pid != pid) return std::nullopt;
  return static_cast<std::size_t>(found - servers.begin());
}

inline std::vector<std::size_t> Snapshot::in_cycle() const {
  // Each server waits for one thing at most, so who is in a circle comes back to itself.
  std::vector<std::size_t> members;
  for (std::size_t start = 0; start < servers.size(); ++start) {
    std::optional<std::size_t> at = start;
    for (std::size_t steps = 0; at && steps < servers.size(); ++steps) {
      const auto& edge = servers[*at].waits_for;
      at = edge ? find(edge->target_pid) : std::nullopt;
      if (at == start) break;
    }
    if (at == start && servers[start].waits_for) members.push_back(start);
  }
  return members;
}

}  // namespace genserver::v0
