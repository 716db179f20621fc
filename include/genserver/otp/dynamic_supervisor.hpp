// SPDX-License-Identifier: BSL-1.0
// A supervisor of children that come and go.
#pragma once

#include <genserver/otp/any_supervisor.hpp>

namespace genserver::inline v0 {

/// Starts children on demand, and restarts each that fails by itself alone.
///
///   DynamicSupervisor sessions{{.max_children = 1000}};
///   sessions.start_child<Session>({.restart = Restart::temporary}, socket);
///
/// A child needs no id. It is forgotten as soon as it has ended and is not restarted. All are
/// stopped at the same time.
///
/// Threads: any, but destruction; see AnySupervisor and GenServer.
/// Erlang:  Elixir's DynamicSupervisor; simple_one_for_one of supervisor.
class DynamicSupervisor : public AnySupervisor {
 public:
  /// Throws: InvalidArgument.
  explicit DynamicSupervisor(const DynamicSupervisorOptions& options = {})
      : AnySupervisor{rules_of(options), {}} {}

  /// Stops a child, as its specification says, and forgets it. A restart that is under way is
  /// called off.
  ///
  /// Blocks: until the child has ended.
  /// Throws: ChildError if there is no such child; ServerGone.
  /// Erlang: DynamicSupervisor.terminate_child/2.
  template <class T>
  void terminate_child(const Child<T>& child, CallSite site = CallSite::here()) const {
    call([child](SupervisorState& state) { state.terminate_child(child.slot()); }, site);
  }
  /// The same for the child that has this server now.
  void terminate_child(const AnyRef& server, CallSite site = CallSite::here()) const {
    call([server](SupervisorState& state) { state.terminate_child(server); }, site);
  }

 private:
  static SupervisionRules rules_of(const DynamicSupervisorOptions& options) {
    return {.options = {.name = options.name,
                        .max_restarts = options.max_restarts,
                        .within = options.within,
                        .back_off = options.back_off},
            .is_dynamic = true,
            .max_children = options.max_children};
  }
};

}  // namespace genserver::v0
