// SPDX-License-Identifier: BSL-1.0
// A supervisor of children that have names and an order.
#pragma once

#include <genserver/otp/any_supervisor.hpp>

#include <concepts>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Starts children in order, restarts them when they end, and stops them in reverse order.
///
///   Supervisor supervisor{{.strategy = Strategy::one_for_one, .max_restarts = 3, .within = 5s}};
///   Child<Counter> visits = supervisor.start_child<Counter>({.id = "visits"});
///   visits->increment();
///
/// What the constructor is given is there again when the supervisor is itself restarted, by
/// another one; what came by start_child() is not.
///
/// Threads: any, but destruction; see AnySupervisor and GenServer.
/// Erlang:  supervisor.
class Supervisor : public AnySupervisor {
 public:
  /// Starts the supervisor, and then `children`, which child<T>() describes.
  ///
  /// Blocks: until all have started.
  /// Throws: StartFailed, which names the child that failed, with what it threw nested; those that
  ///         had started have been stopped in reverse order. InvalidArgument; ChildError if an id
  ///         is used twice.
  /// Erlang: supervisor:start_link/2 and init/1.
  explicit Supervisor(SupervisorOptions options = {}, std::vector<ChildDefinition> children = {})
      : AnySupervisor{SupervisionRules{std::move(options)}, std::move(children)} {}
  template <std::same_as<ChildDefinition>... More>
  Supervisor(SupervisorOptions options, ChildDefinition first, More... more)
      : Supervisor{std::move(options),
                   std::vector<ChildDefinition>{std::move(first), std::move(more)...}} {}

  /// Stops a child, as its specification says, and keeps the specification, unless it is temporary.
  /// A restart that is under way is called off.
  ///
  /// Blocks: until the child has ended.
  /// Throws: ChildError if there is no such child; ServerGone.
  /// Erlang: supervisor:terminate_child/2.
  void terminate_child(const std::string& id, CallSite site = CallSite::here()) const {
    call([id](SupervisorState& state) { state.terminate_child(id); }, site);
  }
  /// Starts a child that is stopped.
  ///
  /// Blocks: until its State is made.
  /// Throws: ChildError if there is none, or it is not stopped; StartFailed, and then it stays
  ///         stopped; ServerGone.
  /// Erlang: supervisor:restart_child/2.
  void restart_child(const std::string& id, CallSite site = CallSite::here()) const {
    call([id](SupervisorState& state) { state.restart_child(id); }, site);
  }
  /// Forgets a child that is stopped.
  ///
  /// Blocks: until the supervisor answers, which it does not while it starts or stops a child.
  /// Throws: ChildError if there is none, or it is not stopped; ServerGone; Deadlock.
  /// Erlang: supervisor:delete_child/2.
  void delete_child(const std::string& id, CallSite site = CallSite::here()) const {
    call([id](SupervisorState& state) { state.delete_child(id); }, site);
  }

  /// As genserver::child(), which this class would hide from those that derive from it.
  template <class T, class... Args>
  [[nodiscard]] static ChildDefinition child(ChildSpec spec, Args&&... args) {
    return ChildDefinition::of<T>(std::move(spec), std::forward<Args>(args)...);
  }

  /// Returns a handle to a child that was started as a T.
  ///
  /// Blocks: as delete_child().
  /// Throws: ChildError if there is no such child; InvalidArgument if it is no T; ServerGone;
  ///         Deadlock.
  template <class T, std::convertible_to<std::string> Id>
  [[nodiscard]] Child<T> child(const Id& id, CallSite site = CallSite::here()) const {
    auto find = [id = std::string{id}, type = ChildDefinition::type_of<T>()](
                    SupervisorState& state) { return state.slot_of(id, type); };
    return Child<T>{call(std::move(find), site)};
  }
};

}  // namespace genserver::v0
