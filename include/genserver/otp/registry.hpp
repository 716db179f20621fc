// SPDX-License-Identifier: BSL-1.0
// Unique names for servers.
#pragma once

#include <genserver/core/gen_server.hpp>
#include <genserver/otp/key_locks.hpp>
#include <genserver/otp/registry_changes.hpp>
#include <genserver/otp/sharded_map.hpp>

#include <fmt/core.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Returns a key as errors show it.
template <class Key>
std::string key_text(const Key& key) {
  if constexpr (fmt::is_formattable<Key>::value) {
    return fmt::format("\"{}\"", key);
  } else {
    return "a key of type " + std::string{type_name<Key>()};
  }
}

/// Knows servers by name, each name for one server at a time.
///
/// A server may have many names. They leave by themselves when it ends: before anybody learns of
/// the end, and also if its State's constructor throws. A name whose holder is ending can be taken
/// by another at once. The registry is an object: make one where it is needed, and let it outlive
/// nothing; servers that are registered do not keep it, nor it them.
///
/// Threads: any, but destruction.
/// Erlang:  Elixir's Registry with unique keys; erlang:register/2, whereis/1.
template <class State, HashableKey Key = std::string>
class Registry {
 public:
  using Change = RegistryChange<State, Key>;

  Registry() {
    static_assert(!OwnerType<State>, "genserver: name the State, as Counter::state_type");
  }
  /// No listener is called any more, but for one that runs on another thread at this moment.
  ~Registry() { on_change({}); }
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Gives `server` the name `key`.
  ///
  /// Throws: NameTaken with the holder, if a server that is not ending has it; ServerGone if
  ///         `server` has ended; InvalidArgument for an empty reference.
  /// Erlang: erlang:register/2.
  void register_name(const Key& key, const ServerRef<State>& server,
                     CallSite site = CallSite::here());

  /// Takes the name away. Returns false if no server has it. Erlang: erlang:unregister/1.
  bool unregister_name(const Key& key);

  /// Returns the server with this name, or nothing. Erlang: erlang:whereis/1.
  [[nodiscard]] std::optional<ServerRef<State>> whereis(const Key& key) const;

  /// Returns all names, in no order. Others may come and go meanwhile. Erlang: registered/0.
  [[nodiscard]] std::vector<Key> names() const;
  /// Returns how many names there are. Cost: as names().
  [[nodiscard]] std::size_t size() const { return names().size(); }

  /// Calls `listener` for each name that is given or taken away from now on, one after the other
  /// and in order for each name; an empty function ends that. It runs on a thread that changes
  /// the registry, under no lock, and may use the registry. What it throws is dropped.
  void on_change(std::function<void(const Change&)> listener) {
    entries_->changes.set_listener(std::move(listener));
  }

  /// Runs `function()` while nobody else runs one under the same key; for what takes several
  /// steps, as starting a server unless there is one. It does not keep others from registering.
  ///
  /// Blocks: until the key is free. A server that waits is an edge of the wait graph.
  /// Throws: SelfWait if the caller holds the key; Deadlock; Exit; what the function throws.
  /// Erlang: Elixir's Registry.lock/3.
  template <class Function>
  decltype(auto) with_lock(const Key& key, Function&& function, CallSite site = CallSite::here()) {
    return locks_.with_lock(key, std::forward<Function>(function), site);
  }

 private:
  struct Entries;

  /// A name and its holder; takes the name away when the holder ends.
  struct Entry final : ExitWatcher {
    Entry(std::weak_ptr<Entries> its_entries, const Key& its_key, const ServerRef<State>& holder)
        : entries{std::move(its_entries)}, key{its_key}, server{holder} {}
    void on_exit(const ExitedServer&) noexcept override;
    [[nodiscard]] bool is_held() const { return !server.callee().is_closed(); }

    const std::weak_ptr<Entries> entries;
    const Key key;
    const ServerRef<State> server;
  };
  struct Entries {
    /// Takes `entry` away, if it is still there. Returns whether it was.
    bool remove(const Entry& entry);

    ShardedMap<Key, std::shared_ptr<Entry>> map{};
    RegistryChanges<State, Key> changes{};
  };

  static ExitWatchers& holders_of(const ServerRef<State>& server) {
    return server.shared_core()->end().holders();
  }

  const std::shared_ptr<Entries> entries_ = std::make_shared<Entries>();
  KeyLocks<Key> locks_{};
};

template <class State, HashableKey Key>
void Registry<State, Key>::register_name(const Key& key, const ServerRef<State>& server,
                                         CallSite site) {
  Callee& callee = server.callee();
  callee.check_not_forked(site);
  const auto entry = std::make_shared<Entry>(entries_, key, server);
  std::shared_ptr<Entry> before;
  bool is_taken = false;
  entries_->map.with(key, [&](auto& map) {
    std::shared_ptr<Entry>& place = map[key];
    before = place;
    is_taken = before != nullptr && before->is_held();
    if (is_taken) return;
    if (before != nullptr) entries_->changes.add({Change::Kind::unregistered, key, before->server});
    place = entry;
    entries_->changes.add({Change::Kind::registered, key, server});
  });
  if (is_taken) {
    throw NameTaken{fmt::format("{} cannot be given to {}:{} at {}: {}:{} has it", key_text(key),
                                callee.name(), callee.pid().value(), to_string(site),
                                before->server.name(), before->server.pid().value()),
                    before->server.pid()};
  }
  const bool is_in_time = holders_of(server).add(entry);
  if (!is_in_time) entries_->remove(*entry);
  entries_->changes.tell();
  if (!is_in_time) {
    callee.raise(server.shared_core()->end().refusal(), WaitKind::call, site);
  }
}

template <class State, HashableKey Key>
bool Registry<State, Key>::unregister_name(const Key& key) {
  const auto entry = entries_->map.with(key, [&](auto& map) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : found->second;
  });
  if (entry == nullptr || !entries_->remove(*entry)) return false;
  holders_of(entry->server).remove(*entry);
  entries_->changes.tell();
  return true;
}

template <class State, HashableKey Key>
std::optional<ServerRef<State>> Registry<State, Key>::whereis(const Key& key) const {
  return entries_->map.with(key, [&](auto& map) -> std::optional<ServerRef<State>> {
    const auto found = map.find(key);
    if (found == map.end() || !found->second->is_held()) return std::nullopt;
    return found->second->server;
  });
}

template <class State, HashableKey Key>
std::vector<Key> Registry<State, Key>::names() const {
  std::vector<Key> names;
  entries_->map.for_each([&](const Key& key, const std::shared_ptr<Entry>& entry) {
    if (entry->is_held()) names.push_back(key);
  });
  return names;
}

template <class State, HashableKey Key>
bool Registry<State, Key>::Entries::remove(const Entry& entry) {
  std::shared_ptr<Entry> removed;  // outlives the lock
  return map.with(entry.key, [&](auto& entries) {
    const auto found = entries.find(entry.key);
    if (found == entries.end() || found->second.get() != &entry) return false;
    removed = std::move(found->second);
    entries.erase(found);
    changes.add({Change::Kind::unregistered, removed->key, removed->server});
    return true;
  });
}

template <class State, HashableKey Key>
void Registry<State, Key>::Entry::on_exit(const ExitedServer&) noexcept {
  const auto its_entries = entries.lock();
  if (its_entries == nullptr || !its_entries->remove(*this)) return;
  its_entries->changes.tell();
}

}  // namespace genserver::v0
