// SPDX-License-Identifier: BSL-1.0
// A handle to a supervisor's child, whichever server that is at the moment.
#pragma once

#include <genserver/otp/child_slot.hpp>

#include <memory>
#include <string>
#include <utility>

namespace genserver::inline v0 {

/// Points to the T that a supervisor has started for one child, also after restarts.
///
///   Child<Counter> counter = supervisor.start_child<Counter>({.id = "visits"});
///   counter->increment();  // on the server that is there now
///
/// A call that is running when its server ends fails with that reason; it is not repeated on the
/// next one. Copyable, and safe when the supervisor is gone. It keeps no server running.
///
/// Threads: any; changing the same handle is for one.
/// Throws:  InvalidArgument from every function of an empty handle, which is made by default.
template <class T>
class Child {
 public:
  Child() noexcept = default;
  explicit Child(std::shared_ptr<const ChildSlot> slot) noexcept : slot_{std::move(slot)} {}

  /// Returns whether it was given a child.
  [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }
  /// Returns the id of its specification.
  [[nodiscard]] const std::string& id() const { return slot().id(); }
  /// Returns the supervisor, also when that has ended.
  [[nodiscard]] const AnyRef& supervisor() const { return slot().supervisor(); }
  /// Returns what its supervisor makes of it at the moment.
  [[nodiscard]] ChildStatus status() const { return slot().status(); }
  /// Returns whether there is a server, and it is not ending.
  [[nodiscard]] bool is_running() const { return slot().is_running(); }

  /// Returns the T that is there now, and keeps it for the expression in which this is used. There
  /// is no `*`, since nothing would keep what it refers to; use lock().
  ///
  /// Throws: ServerGone, which tells why there is none, while there is none.
  [[nodiscard]] std::shared_ptr<T> operator->() const {
    return std::static_pointer_cast<T>(slot().running_owner());
  }
  /// Returns the same, or null while there is none. Who keeps it delays T's destructor, but
  /// neither the server's end nor its restart.
  [[nodiscard]] std::shared_ptr<T> lock() const {
    return std::static_pointer_cast<T>(slot().owner());
  }
  /// Returns the server that is there now. Throws: as operator->.
  [[nodiscard]] ServerRef<typename T::state_type> ref() const { return operator->()->ref(); }

  /// Waits until there is a server that is not ending: after ServerGone, for the next one. Returns
  /// false if the time is up, and at once if there will never be one: the child was removed, or the
  /// supervisor has ended.
  ///
  /// Blocks: until the supervisor has started one, or `timeout`.
  /// Throws: Deadlock, in the handlers of a server that the supervisor waits for, and its own;
  ///         Exit, if the handler that waits gets an exit signal.
  bool wait_until_running(Timespan timeout, CallSite site = CallSite::here()) const {
    return slot().wait_until_running(Deadline::after(timeout), site);
  }

  /// Two handles are equal if they are to the same child.
  friend bool operator==(const Child&, const Child&) = default;

  /// For the library's own functions that take a child.
  [[nodiscard]] const ChildSlot& slot() const {
    if (slot_ == nullptr) {
      throw InvalidArgument{"an empty Child was used: it belongs to no supervisor"};
    }
    return *slot_;
  }

 private:
  std::shared_ptr<const ChildSlot> slot_{};
};

}  // namespace genserver::v0
