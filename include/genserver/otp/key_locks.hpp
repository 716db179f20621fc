// SPDX-License-Identifier: BSL-1.0
// Locks that have a key for a name.
#pragma once

#include <genserver/core/gen_server.hpp>
#include <genserver/core/handler_wait.hpp>
#include <genserver/otp/sharded_map.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// One lock per key, made when it is needed and gone when nobody wants it.
///
/// A server that waits is an edge of the wait graph to the server that holds the lock. The holder
/// changes while others wait; so whenever a lock is let go, all who wait look again, and of those
/// the first takes it.
///
/// Threads: any.
template <class Key>
class KeyLocks {
 public:
  /// Runs `function()` while nobody else runs one with the same key, and returns what it returns.
  ///
  /// Blocks: until the lock is free, and while the function runs.
  /// Throws: SelfWait if the calling server or thread holds it already; Deadlock; Exit; what the
  ///         function throws.
  template <class Function>
  decltype(auto) with_lock(const Key& key, Function&& function, const CallSite& site) {
    const Key own = key;  // the function may change what `key` refers to
    lock(own, site);
    const Unlock unlock{*this, own};
    return std::forward<Function>(function)();
  }

 private:
  /// A holder: the server whose handler it is, or a thread.
  struct Holder {
    std::shared_ptr<ServerCore> server{};
    const void* thread = nullptr;
  };
  /// Those who wait for the lock to be let go; each round has its own.
  struct Round {
    std::vector<WaitToken> waiters{};  // their edges, which end first; guarded by the map's lock
    //   P1  unlock(): release ──▶ wait(): acquire
    std::atomic<std::uint32_t> is_over{0};
  };
  struct Lock {
    Holder holder{};
    std::size_t waiting = 0;
    std::shared_ptr<Round> round{};
  };
  struct Unlock {
    KeyLocks& locks;
    const Key& key;
    ~Unlock() { locks.unlock(key); }
  };

  [[gnu::visibility("default")]] static Holder caller() {
    static thread_local const char own = 0;
    Holder holder;
    if (Running::now() != nullptr) holder.server = running_server().shared_from_this();
    holder.thread = &own;
    return holder;
  }

  void lock(const Key& key, const CallSite& site);
  void unlock(const Key& key);
  void give_up(const Key& key);
  static void wait(Round& round, CallerEdge& edge);

  ShardedMap<Key, Lock> locks_{};
};

template <class Key>
void KeyLocks<Key>::lock(const Key& key, const CallSite& site) {
  const Holder self = caller();
  bool has_waited = false;
  for (;;) {
    CallerEdge edge;
    std::shared_ptr<Round> round;
    bool is_own = false;
    locks_.with(key, [&](auto& map) {
      Lock& lock = map[key];
      if (std::exchange(has_waited, true)) --lock.waiting;
      is_own = lock.holder.thread == self.thread;
      if (is_own) return;
      if (lock.holder.thread == nullptr) {
        lock.holder = self;
        return;
      }
      ++lock.waiting;
      if (lock.round == nullptr) lock.round = std::make_shared<Round>();
      round = lock.round;
      if (lock.holder.server == nullptr) return;
      edge.begin(*lock.holder.server, WaitKind::lock, site);
      round->waiters.push_back(edge.token());
    });
    if (is_own) {
      throw SelfWait{"with_lock() at " + to_string(site) +
                     " would wait for a lock that its own thread holds"};
    }
    if (round == nullptr) return;
    try {
      wait(*round, edge);
    } catch (...) {
      give_up(key);
      throw;
    }
  }
}

template <class Key>
void KeyLocks<Key>::give_up(const Key& key) {
  locks_.with(key, [&](auto& map) {
    const auto place = map.find(key);
    if (--place->second.waiting == 0 && place->second.holder.thread == nullptr) map.erase(place);
  });
}

template <class Key>
void KeyLocks<Key>::unlock(const Key& key) {
  std::shared_ptr<Round> round;
  std::shared_ptr<ServerCore> holder;  // outlives the lock
  locks_.with(key, [&](auto& map) {
    const auto place = map.find(key);
    round = std::exchange(place->second.round, nullptr);
    if (round != nullptr) {
      // Before the lock is free, as every edge: nobody waits for this server any more.
      for (const WaitToken& waiter : round->waiters) waiter.end();
    }
    holder = std::move(place->second.holder.server);
    place->second.holder.thread = nullptr;
    if (place->second.waiting == 0) map.erase(place);
  });
  if (round == nullptr) return;
  round->is_over.store(1, std::memory_order_release);  // P1
  wake_all(&round->is_over);
}

template <class Key>
void KeyLocks<Key>::wait(Round& round, CallerEdge& edge) {
  edge.check();
  edge.set_since(Deadline::Clock::now());
  // Ends by unlock(). An exit signal is looked for every few milliseconds.
  while (round.is_over.load(std::memory_order_acquire) == 0) {  // P1
    check_exit();
    const auto look_again = Deadline::after(std::chrono::milliseconds{5});
    sleep_while_equal(round.is_over, 0,
                      Running::now() != nullptr ? look_again : Deadline::never());
  }
}

}  // namespace genserver::v0
