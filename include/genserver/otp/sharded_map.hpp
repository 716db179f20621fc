// SPDX-License-Identifier: BSL-1.0
// A map that many threads use at once.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace genserver::inline v0 {

/// A key that can be looked up.
template <class Key>
concept HashableKey = requires(const Key& a, const Key& b) {
  { std::hash<Key>{}(a) } -> std::convertible_to<std::size_t>;
  { a == b } -> std::convertible_to<bool>;
};

/// Keeps values by key in sixteen parts with a mutex each, so that threads which look for different
/// keys seldom meet. What is given to with() and for_each() must not wait, nor be the user's.
///
/// Threads: any.
template <class Key, class Value>
class ShardedMap {
 public:
  using Map = std::unordered_map<Key, Value>;

  /// Calls `use(map)` with the part of the map in which `key` is, under its lock.
  template <class Use>
  decltype(auto) with(const Key& key, Use&& use) {
    Shard& shard = shards_[place_of(key)];
    const std::scoped_lock lock{shard.mutex};
    return std::forward<Use>(use)(shard.map);
  }

  /// Calls `use(key, value)` for each, one part after the other: not one moment of the whole.
  template <class Use>
  void for_each(Use&& use) {
    for (Shard& shard : shards_) {
      const std::scoped_lock lock{shard.mutex};
      for (auto& [key, value] : shard.map) use(key, value);
    }
  }

 private:
  struct Shard {
    std::mutex mutex{};
    Map map{};  // guarded by mutex
  };

  static constexpr std::size_t shard_count = 16;

  /// Mixes the hash, of which the map itself uses the low bits.
  static std::size_t place_of(const Key& key) {
    const auto hash = static_cast<std::uint64_t>(std::hash<Key>{}(key));
    return static_cast<std::size_t>((hash * 0x9E3779B97F4A7C15U) >> 60);
  }

  std::array<Shard, shard_count> shards_{};
};

}  // namespace genserver::v0
