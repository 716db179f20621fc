// SPDX-License-Identifier: BSL-1.0
// A supervisor of several copies of one server, among which keys are divided.
#pragma once

#include <genserver/otp/any_supervisor.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Which of the copies a server is; T's constructor gets it first, if it takes one.
struct Partition {
  std::size_t index = 0;
};

/// The options of a PartitionSupervisor; all may be left out.
struct PartitionSupervisorOptions {
  std::string name = "partition supervisor";
  /// How many copies there are, at most; 0: as many as the machine has cores.
  std::size_t partitions = 0;
  unsigned max_restarts = 3;
  std::chrono::nanoseconds within = std::chrono::seconds{5};
  std::optional<BackOff> back_off{};
  std::optional<Shutdown> shutdown{};  ///< Of each copy; see ChildSpec.
};

/// Divides the work of one server among several, each of which has its own State and thread. What
/// has the same key meets the same one.
///
///   PartitionSupervisor<Counter> counters{{.partitions = 8}};
///   counters.at(user)->increment();
///
/// Threads: any, but destruction; see AnySupervisor and GenServer.
/// Erlang:  Elixir's PartitionSupervisor.
template <class T>
class PartitionSupervisor : public AnySupervisor {
 public:
  /// Starts the copies, from `args`, which are copied.
  ///
  /// Blocks: until all have started. Throws: as Supervisor's constructor.
  template <class... Args>
  explicit PartitionSupervisor(PartitionSupervisorOptions options = {}, const Args&... args)
      : PartitionSupervisor{rules_of(options), definitions_of(options, args...)} {}

  /// Returns the copy for `key`: for an integer the one with the index |key| modulo active(), for
  /// another key that of its std::hash.
  ///
  /// Throws: ChildError if there is no active copy.
  template <class Key>
  [[nodiscard]] Child<T> at(const Key& key) const;

  /// Returns how many copies there are, active or not.
  [[nodiscard]] std::size_t partitions() const noexcept { return children_.size(); }
  /// Returns how many of them are meant to run, and get keys.
  [[nodiscard]] std::size_t active() const noexcept {
    return active_->load(std::memory_order_relaxed);  // a number that publishes nothing
  }
  /// Lets `active` copies run: starts the missing ones, or stops the last ones. From now on most
  /// keys meet another copy than before.
  ///
  /// Blocks: until they have started or ended.
  /// Throws: InvalidArgument if that is more than partitions(); StartFailed; ServerGone.
  /// Erlang: PartitionSupervisor.resize!/2.
  void resize(std::size_t active, CallSite site = CallSite::here());

 private:
  PartitionSupervisor(SupervisionRules rules, std::vector<ChildDefinition> definitions);

  static SupervisionRules rules_of(const PartitionSupervisorOptions& options) {
    return {.options = {.name = options.name,
                        .max_restarts = options.max_restarts,
                        .within = options.within,
                        .back_off = options.back_off}};
  }
  template <class... Args>
  static std::vector<ChildDefinition> definitions_of(const PartitionSupervisorOptions& options,
                                                     const Args&... args);

  std::vector<Child<T>> children_{};  // by index
  // Relaxed: it publishes nothing. Changed by the supervisor's handlers only.
  const std::shared_ptr<std::atomic<std::size_t>> active_;
};

namespace detail {

/// Returns a number that says which copy a key meets, before the division.
template <class Key>
std::uint64_t partition_of(const Key& key) {
  if constexpr (std::integral<Key>) {
    const auto value = static_cast<std::uint64_t>(key);
    return key < Key{0} ? 0 - value : value;
  } else if constexpr (std::is_convertible_v<const Key&, std::string_view>) {
    return std::hash<std::string_view>{}(key);
  } else {
    // Multiplied, since hashes of pointers and enumerators are often all even, or small.
    return (static_cast<std::uint64_t>(std::hash<Key>{}(key)) * 0x9E3779B97F4A7C15U) >> 32U;
  }
}

}  // namespace detail

template <class T>
PartitionSupervisor<T>::PartitionSupervisor(SupervisionRules rules,
                                            std::vector<ChildDefinition> definitions)
    : AnySupervisor{std::move(rules), definitions},
      active_{std::make_shared<std::atomic<std::size_t>>(definitions.size())} {
  call([&](SupervisorState& state) {
    for (const ChildDefinition& each : definitions) {
      children_.emplace_back(state.slot_of(each.spec().id, each.type()));
    }
  });
}

template <class T>
template <class... Args>
std::vector<ChildDefinition> PartitionSupervisor<T>::definitions_of(
    const PartitionSupervisorOptions& options, const Args&... args) {
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t count = options.partitions == 0 ? cores : options.partitions;
  std::vector<ChildDefinition> definitions;
  for (std::size_t index = 0; index < count; ++index) {
    ChildSpec spec{.id = std::to_string(index), .shutdown = options.shutdown};
    if constexpr (std::is_constructible_v<T, const Partition&, const Args&...>) {
      definitions.push_back(child<T>(std::move(spec), Partition{index}, args...));
    } else {
      definitions.push_back(child<T>(std::move(spec), args...));
    }
  }
  return definitions;
}

template <class T>
template <class Key>
Child<T> PartitionSupervisor<T>::at(const Key& key) const {
  const std::size_t active = this->active();
  if (active != 0) return children_[detail::partition_of(key) % active];
  throw ChildError{ChildError::Kind::not_found,
                   fmt::format("partition supervisor \"{}\" has no active partition", name())};
}

template <class T>
void PartitionSupervisor<T>::resize(std::size_t active, CallSite site) {
  if (active > partitions()) {
    throw InvalidArgument{fmt::format("partition supervisor \"{}\" has {} partitions, and cannot "
                                      "be resized to {} at {}",
                                      name(), partitions(), active, to_string(site))};
  }
  auto resize = [active, count = active_, all = partitions()](SupervisorState& state) {
    // Keys are sent to a copy only while it is meant to run. Relaxed: see active_.
    for (std::size_t now = count->load(std::memory_order_relaxed); now < active; ++now) {
      state.restart_child(std::to_string(now));
      count->store(now + 1, std::memory_order_relaxed);
    }
    if (count->load(std::memory_order_relaxed) == active) return;
    count->store(active, std::memory_order_relaxed);
    for (std::size_t last = all; last > active; --last) {
      state.terminate_child(std::to_string(last - 1));
    }
  };
  call(std::move(resize), site);
}

}  // namespace genserver::v0
