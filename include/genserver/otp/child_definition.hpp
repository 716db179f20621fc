// SPDX-License-Identifier: BSL-1.0
// How a supervisor starts a child, as often as it has to.
#pragma once

#include <genserver/core/gen_server.hpp>
#include <genserver/otp/child_spec.hpp>
#include <genserver/otp/stop_limit.hpp>

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

class SupervisorState;

/// A type of server: what start<T>() takes, and what can be started again with equal arguments.
template <class T>
concept ChildType = OwnerType<T>;

/// A server that a supervisor has started.
struct StartedChild {
  std::shared_ptr<void> owner{};
  AnyRef server{};
  std::shared_ptr<StopLimit> limit{};  // of a supervisor
};

/// A child's specification, and copies of the arguments with which its servers are made.
///
/// A value: copyable, so that a supervisor that is itself restarted starts the same children.
/// Made by child<T>().
class ChildDefinition {
 public:
  template <class T, class... Args>
  static ChildDefinition of(ChildSpec spec, Args&&... args);

  [[nodiscard]] const ChildSpec& spec() const noexcept { return spec_; }
  /// Names the type of the owners that are started; see Server::type().
  [[nodiscard]] const void* type() const noexcept { return type_; }
  [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }
  [[nodiscard]] bool is_supervisor() const noexcept { return is_supervisor_; }
  [[nodiscard]] Shutdown shutdown() const {
    if (spec_.shutdown) return *spec_.shutdown;
    return is_supervisor_ ? Shutdown::infinity() : Shutdown{std::chrono::seconds{5}};
  }

  /// Starts a server. Blocks: until its State is made. Throws: as start<T>().
  [[nodiscard]] StartedChild start() const { return start_(); }

  template <class T>
  [[gnu::visibility("default")]] static const void* type_of() noexcept {
    static constexpr char own = 0;
    return &own;
  }

 private:
  ChildDefinition() = default;

  ChildSpec spec_{};
  const void* type_ = nullptr;
  std::string type_name_{};
  bool is_supervisor_ = false;
  std::function<StartedChild()> start_{};
};

/// Describes a child for the constructor of a supervisor: a server T, which derives from GenServer,
/// and the arguments of T's constructor. They are copied, and each start gets them as const.
///
///   Supervisor tree{{.strategy = Strategy::rest_for_one},
///                   child<Connection>({.id = "connection"}, "localhost", 8080),
///                   child<Cache>({.id = "cache"})};
///
/// Erlang: supervisor:child_spec().
template <class T, class... Args>
[[nodiscard]] ChildDefinition child(ChildSpec spec, Args&&... args) {
  return ChildDefinition::of<T>(std::move(spec), std::forward<Args>(args)...);
}

template <class T, class... Args>
ChildDefinition ChildDefinition::of(ChildSpec spec, Args&&... args) {
  static_assert(ChildType<T>,
                "genserver: a child is a T that derives publicly from GenServer");
  static_assert((std::is_copy_constructible_v<std::decay_t<Args>> && ...),
                "genserver: a child is started again with copies of its arguments, so they must "
                "be copyable; share what is not with a std::shared_ptr");
  static_assert(std::is_constructible_v<T, const std::decay_t<Args>&...>,
                "genserver: T cannot be made from these arguments, which it gets as const at every "
                "start; a plain GenServer takes its Options first");
  ChildDefinition definition;
  definition.spec_ = std::move(spec);
  definition.type_ = type_of<T>();
  definition.type_name_ = genserver::type_name<T>();
  definition.is_supervisor_ = std::is_same_v<typename T::state_type, SupervisorState>;
  definition.start_ = [kept = std::tuple<std::decay_t<Args>...>{std::forward<Args>(args)...}] {
    const std::shared_ptr<T> owner = std::apply(
        [](const auto&... each) { return genserver::start<T>(each...); }, kept);
    StartedChild started{owner, *owner, {}};
    if constexpr (std::is_same_v<typename T::state_type, SupervisorState>) {
      started.limit = owner->stop_limit();
    }
    return started;
  };
  return definition;
}

}  // namespace genserver::v0
