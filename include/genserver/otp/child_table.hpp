// SPDX-License-Identifier: BSL-1.0
// The children that a supervisor has.
#pragma once

#include <genserver/otp/child_snapshot.hpp>
#include <genserver/otp/supervised_child.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Keeps children in the order in which they were first started, and finds them by id, by handle,
/// and by server.
///
/// Threads: the supervisor's.
class ChildTable {
 public:
  using Place = std::list<SupervisedChild>::iterator;

  /// `name` is the supervisor's, for errors. Only by unique ids children are found.
  ChildTable(std::string name, ChildIds ids) : name_{std::move(name)}, ids_{ids} {}

  [[nodiscard]] std::size_t size() const noexcept { return children_.size(); }
  [[nodiscard]] bool empty() const noexcept { return children_.empty(); }
  [[nodiscard]] Place begin() noexcept { return children_.begin(); }
  [[nodiscard]] Place end() noexcept { return children_.end(); }
  [[nodiscard]] auto begin() const noexcept { return children_.begin(); }
  [[nodiscard]] auto end() const noexcept { return children_.end(); }

  /// Adds a child behind all others; it has no server yet.
  ///
  /// Throws: ChildError if its id is in use.
  Place add(ChildDefinition definition, const std::shared_ptr<ServerCore>& supervisor,
            const std::shared_ptr<StopLimit>& limit);
  /// Removes a child that has no server.
  void remove(Place child) noexcept;

  /// Lets the child be found by its server, until forget_server().
  void add_server(const AnyRef& server, Place child) { by_pid_.emplace(server.pid(), child); }
  void forget_server(const SupervisedChild& child) noexcept {
    by_pid_.erase(child.server().pid());
  }

  /// Throws: ChildError if there is no such child.
  [[nodiscard]] Place find(const std::string& id);
  [[nodiscard]] Place find(const ChildSlot& slot);
  [[nodiscard]] Place find(const AnyRef& server);
  /// Returns the child with this id if it is stopped. Throws: ChildError.
  [[nodiscard]] Place find_stopped(const std::string& id);
  /// Returns the child that has this server, if one does.
  [[nodiscard]] std::optional<Place> find_server(Pid server);
  /// Returns the child whose restart was planned, unless something else has happened meanwhile.
  [[nodiscard]] std::optional<Place> find_planned(const ChildSlot& slot, std::uint64_t plan);

  [[nodiscard]] std::vector<ChildSnapshot> snapshots() const;
  [[nodiscard]] ChildCounts counts() const;

  /// Throws: ChildError.
  [[noreturn]] void refuse(ChildError::Kind kind, const std::string& child, Pid holder = {}) const;

 private:
  const std::string name_;
  const ChildIds ids_;
  std::list<SupervisedChild> children_{};
  std::unordered_map<std::string, Place> by_id_{};         // all, if ids are unique
  std::unordered_map<const ChildSlot*, Place> by_slot_{};  // all
  std::unordered_map<Pid, Place> by_pid_{};                // those that are running
};

inline ChildTable::Place ChildTable::add(ChildDefinition definition,
                                         const std::shared_ptr<ServerCore>& supervisor,
                                         const std::shared_ptr<StopLimit>& limit) {
  const std::string& id = definition.spec().id;
  if (const auto held = by_id_.find(id); held != by_id_.end()) {
    const SupervisedChild& holder = *held->second;
    if (!holder.is_running()) refuse(ChildError::Kind::already_present, id);
    refuse(ChildError::Kind::already_started, id, holder.server().pid());
  }
  children_.emplace_back(std::move(definition), supervisor, limit);
  const Place child = std::prev(children_.end());
  try {
    by_slot_.emplace(child->slot().get(), child);
    if (ids_ == ChildIds::unique) by_id_.emplace(child->spec().id, child);
  } catch (...) {
    remove(child);
    throw;
  }
  return child;
}

inline void ChildTable::remove(Place child) noexcept {
  child->set_gone(ChildStatus::removed);
  by_slot_.erase(child->slot().get());
  if (ids_ == ChildIds::unique) by_id_.erase(child->spec().id);
  children_.erase(child);
}

inline ChildTable::Place ChildTable::find(const std::string& id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) refuse(ChildError::Kind::not_found, id);
  return found->second;
}

inline ChildTable::Place ChildTable::find(const ChildSlot& slot) {
  const auto found = by_slot_.find(&slot);
  if (found == by_slot_.end()) refuse(ChildError::Kind::not_found, slot.id());
  return found->second;
}

inline ChildTable::Place ChildTable::find(const AnyRef& server) {
  const auto found = find_server(server.pid());
  if (!found) refuse(ChildError::Kind::not_found, server.name(), server.pid());
  return *found;
}

inline ChildTable::Place ChildTable::find_stopped(const std::string& id) {
  const Place child = find(id);
  if (child->is_running()) refuse(ChildError::Kind::running, id, child->server().pid());
  if (child->status() == ChildStatus::restarting) refuse(ChildError::Kind::restarting, id);
  return child;
}

inline std::optional<ChildTable::Place> ChildTable::find_server(Pid server) {
  const auto found = by_pid_.find(server);
  return found == by_pid_.end() ? std::nullopt : std::optional{found->second};
}

inline std::optional<ChildTable::Place> ChildTable::find_planned(const ChildSlot& slot,
                                                                 std::uint64_t plan) {
  const auto found = by_slot_.find(&slot);
  if (found == by_slot_.end() || !found->second->is_planned(plan)) return std::nullopt;
  return found->second;
}

inline std::vector<ChildSnapshot> ChildTable::snapshots() const {
  std::vector<ChildSnapshot> all;
  all.reserve(children_.size());
  for (const SupervisedChild& child : children_) {
    const ChildDefinition& definition = child.definition();
    all.push_back({child.spec().id, child.status(), child.is_running() ? child.server() : AnyRef{},
                   child.spec().restart, definition.is_supervisor(), definition.type_name()});
  }
  return all;
}

inline ChildCounts ChildTable::counts() const {
  ChildCounts counts;
  for (const SupervisedChild& child : children_) {
    ++counts.specs;
    if (child.is_running() && child.server().is_alive()) ++counts.active;
    ++(child.definition().is_supervisor() ? counts.supervisors : counts.workers);
  }
  return counts;
}

inline void ChildTable::refuse(ChildError::Kind kind, const std::string& child, Pid holder) const {
  const std::string who = holder == Pid{} ? "" : " (" + std::to_string(holder.value()) + ")";
  throw ChildError{
      kind, "supervisor \"" + name_ + "\": child \"" + child + "\"" + who + " " + to_string(kind),
      holder};
}

}  // namespace genserver::v0
