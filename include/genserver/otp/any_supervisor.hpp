// SPDX-License-Identifier: BSL-1.0
// What supervisors of all kinds have in common for their users.
#pragma once

#include <genserver/otp/child.hpp>
#include <genserver/otp/supervisor_state.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// A server that starts others, and restarts those that fail: the base of Supervisor and
/// DynamicSupervisor.
///
/// A child is a server T that derives from GenServer, also another supervisor; it is made with
/// start<T>() on the supervisor's thread, from copies of the arguments, and destroyed there or by
/// whoever still holds it.
///
/// If there are too many restarts, the supervisor gives up: it stops its children and ends with
/// `shutdown`. However it ends, no child outlives it, but one whose handler does not return; see
/// AnyRef::kill().
///
/// While a child starts or is being stopped the supervisor does nothing else. So a child that
/// calls its supervisor then, from its State's constructor or terminate, gets Deadlock; and if its
/// handler waits for the supervisor already, it gets an exit signal, and is killed if that does not
/// end the wait. Only if the supervisor is itself ending, such a child ends after it, and a later
/// call gets ServerGone. What T's own constructor and destructor call on the supervisor's thread is
/// answered, but they get SelfWait from whatever would change the children.
///
/// Threads: any, but destruction; see GenServer.
class AnySupervisor : public GenServer<SupervisorState> {
 public:
  /// Starts a child, behind those that there are.
  ///
  /// Blocks: until its State is made.
  /// Throws: ChildError if the id is in use, or there are max_children; StartFailed with what the
  ///         child threw nested, and then it is no child; InvalidArgument; ServerGone.
  /// Erlang: supervisor:start_child/2.
  template <class T, class... Args>
  Child<T> start_child(ChildSpec spec, Args&&... args) const;

  /// Returns all children, in the order in which they were first started.
  ///
  /// Blocks: until the supervisor answers, which it does not while it starts or stops a child.
  /// Throws: ServerGone; Deadlock.
  /// Erlang: supervisor:which_children/1.
  [[nodiscard]] std::vector<ChildSnapshot> children(CallSite site = CallSite::here()) const {
    return call([](SupervisorState& state) { return state.children(); }, site);
  }
  /// The same, by Erlang's name.
  [[nodiscard]] std::vector<ChildSnapshot> which_children(CallSite site = CallSite::here()) const {
    return children(site);
  }
  /// Returns how many children there are, and of which sort.
  ///
  /// Blocks: as children().
  /// Throws: ServerGone; Deadlock.
  /// Erlang: supervisor:count_children/1.
  [[nodiscard]] ChildCounts count_children(CallSite site = CallSite::here()) const {
    return call([](SupervisorState& state) { return state.count_children(); }, site);
  }

  /// Returns whether it has ended, or is about to, since there were too many restarts.
  [[nodiscard]] bool has_given_up() const { return limit_->has_given_up(); }

  /// For those who stop this supervisor within a time.
  [[nodiscard]] const std::shared_ptr<StopLimit>& stop_limit() const noexcept { return limit_; }

 protected:
  AnySupervisor(SupervisionRules rules, std::vector<ChildDefinition> children)
      : AnySupervisor{std::move(rules), std::move(children), std::make_shared<StopLimit>()} {}

 private:
  AnySupervisor(SupervisionRules rules, std::vector<ChildDefinition> children,
                std::shared_ptr<StopLimit> limit)
      : GenServer{Options{.name = rules.options.name}, rules, children, limit},
        limit_{std::move(limit)} {}

  const std::shared_ptr<StopLimit> limit_;
};

template <class T, class... Args>
Child<T> AnySupervisor::start_child(ChildSpec spec, Args&&... args) const {
  const CallSite site = spec.site;
  auto start = [definition = child<T>(std::move(spec), std::forward<Args>(args)...)](
                   SupervisorState& state) { return state.start_child(definition); };
  return Child<T>{call(std::move(start), site)};
}

}  // namespace genserver::v0
