// SPDX-License-Identifier: BSL-1.0
// Servers that are addressed together.
#pragma once

#include <genserver/core/gen_server.hpp>
#include <genserver/otp/sharded_map.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Knows any number of servers by a key, and sends to all of them.
///
/// A server may be a member of many groups, and of one several times. It leaves by itself when it
/// ends, before anybody learns of the end.
///
/// Threads: any, but destruction.
/// Erlang:  the module pg; Elixir's Registry with duplicate keys.
template <class State, HashableKey Key = std::string>
class Group {
 public:
  Group() {
    static_assert(!OwnerType<State>, "genserver: name the State, as Counter::state_type");
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  /// Makes `server` a member, once more if it is one.
  ///
  /// Throws: ServerGone if it has ended; InvalidArgument for an empty reference.
  /// Erlang: pg:join/2.
  void join(const Key& key, const ServerRef<State>& server, CallSite site = CallSite::here());

  /// Ends all of the server's memberships under this key; returns how many there were.
  /// Erlang: pg:leave/2, Elixir's Registry.unregister/2.
  std::size_t leave(const Key& key, const ServerRef<State>& server);

  /// Returns the members in the order in which they joined. Erlang: pg:get_members/1.
  [[nodiscard]] std::vector<ServerRef<State>> members(const Key& key) const;
  /// Returns the keys that have members, in no order. Erlang: pg:which_groups/0.
  [[nodiscard]] std::vector<Key> keys() const;
  /// Returns how many members there are under all keys.
  [[nodiscard]] std::size_t size() const;

  /// Casts a copy of the handler or message to each member. Returns how many took it.
  ///
  /// Blocks: as cast() to each of them.
  /// Throws: Deadlock, as cast(); then the later members have not got it.
  template <class Handler>
  std::size_t broadcast(const Key& key, const Handler& handler,
                        CallSite site = CallSite::here()) const;

  /// Calls `function(members)` on this thread, with those of this moment, unless there are none.
  /// Erlang: Elixir's Registry.dispatch/3.
  template <class Function>
  void dispatch(const Key& key, Function&& function) const;

 private:
  struct Members;

  struct Entry final : ExitWatcher {
    Entry(std::weak_ptr<Members> its_members, const Key& its_key, const ServerRef<State>& member)
        : members{std::move(its_members)}, key{its_key}, server{member} {}
    void on_exit(const ExitedServer&) noexcept override {
      if (const auto its = members.lock()) {
        its->remove(key, [this](const Entry& entry) { return &entry == this; });
      }
    }

    const std::weak_ptr<Members> members;
    const Key key;
    const ServerRef<State> server;
  };
  using Entries = std::vector<std::shared_ptr<Entry>>;

  struct Members {
    /// Takes out those for which `is_meant(entry)` holds, and returns them.
    template <class IsMeant>
    Entries remove(const Key& key, IsMeant&& is_meant);

    ShardedMap<Key, Entries> map{};
  };

  static bool is_here(const std::shared_ptr<Entry>& entry) {
    return !entry->server.callee().is_closed();
  }
  static ExitWatchers& holders_of(const ServerRef<State>& server) {
    return server.shared_core()->end().holders();
  }

  const std::shared_ptr<Members> members_ = std::make_shared<Members>();
};

template <class State, HashableKey Key>
void Group<State, Key>::join(const Key& key, const ServerRef<State>& server, CallSite site) {
  Callee& callee = server.callee();
  callee.check_not_forked(site);
  const auto entry = std::make_shared<Entry>(members_, key, server);
  members_->map.with(key, [&](auto& map) { map[key].push_back(entry); });
  if (holders_of(server).add(entry)) return;
  members_->remove(key, [&](const Entry& other) { return &other == entry.get(); });
  callee.raise(server.shared_core()->end().refusal(), WaitKind::call, site);
}

template <class State, HashableKey Key>
std::size_t Group<State, Key>::leave(const Key& key, const ServerRef<State>& server) {
  static_cast<void>(server.callee());  // refuses an empty reference
  const Entries left =
      members_->remove(key, [&](const Entry& entry) { return entry.server == server; });
  for (const auto& entry : left) holders_of(server).remove(*entry);
  return left.size();
}

template <class State, HashableKey Key>
std::vector<ServerRef<State>> Group<State, Key>::members(const Key& key) const {
  std::vector<ServerRef<State>> members;
  members_->map.with(key, [&](auto& map) {
    const auto found = map.find(key);
    if (found == map.end()) return;
    for (const auto& entry : found->second) {
      if (is_here(entry)) members.push_back(entry->server);
    }
  });
  return members;
}

template <class State, HashableKey Key>
std::vector<Key> Group<State, Key>::keys() const {
  std::vector<Key> keys;
  members_->map.for_each([&](const Key& key, const Entries& entries) {
    if (std::any_of(entries.begin(), entries.end(), is_here)) keys.push_back(key);
  });
  return keys;
}

template <class State, HashableKey Key>
std::size_t Group<State, Key>::size() const {
  std::size_t size = 0;
  members_->map.for_each([&](const Key&, const Entries& entries) {
    size += static_cast<std::size_t>(std::count_if(entries.begin(), entries.end(), is_here));
  });
  return size;
}

template <class State, HashableKey Key>
template <class Handler>
std::size_t Group<State, Key>::broadcast(const Key& key, const Handler& handler,
                                         CallSite site) const {
  std::size_t accepted = 0;
  for (const ServerRef<State>& member : members(key)) {
    accepted += member.cast(Handler(handler), site) ? 1U : 0U;
  }
  return accepted;
}

template <class State, HashableKey Key>
template <class Function>
void Group<State, Key>::dispatch(const Key& key, Function&& function) const {
  const std::vector<ServerRef<State>> found = members(key);
  if (!found.empty()) std::forward<Function>(function)(found);
}

template <class State, HashableKey Key>
template <class IsMeant>
auto Group<State, Key>::Members::remove(const Key& key, IsMeant&& is_meant) -> Entries {
  Entries removed;  // outlives the lock
  map.with(key, [&](auto& entries) {
    const auto found = entries.find(key);
    if (found == entries.end()) return;
    Entries& of_key = found->second;
    const auto end = std::stable_partition(
        of_key.begin(), of_key.end(),
        [&](const std::shared_ptr<Entry>& entry) { return !is_meant(*entry); });
    removed.assign(std::make_move_iterator(end), std::make_move_iterator(of_key.end()));
    of_key.erase(end, of_key.end());
    if (of_key.empty()) entries.erase(found);
  });
  return removed;
}

}  // namespace genserver::v0
