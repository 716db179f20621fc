// SPDX-License-Identifier: BSL-1.0
// What a supervisor tells about its children.
#pragma once

#include <genserver/otp/child_slot.hpp>
#include <genserver/otp/child_spec.hpp>

#include <cstddef>
#include <string>

namespace genserver::inline v0 {

/// One child. Erlang: an element of supervisor:which_children/1.
struct ChildSnapshot {
  std::string id{};
  ChildStatus status = ChildStatus::stopped;
  AnyRef server{};  ///< Empty unless it is running.
  Restart restart = Restart::permanent;
  bool is_supervisor = false;
  std::string type{};  ///< The name of the type that start<T>() makes.
};

/// How many children there are. Erlang: supervisor:count_children/1.
struct ChildCounts {
  std::size_t specs = 0;        ///< All of them.
  std::size_t active = 0;       ///< Those that are running.
  std::size_t supervisors = 0;  ///< Those that are supervisors, running or not.
  std::size_t workers = 0;      ///< The others.

  friend bool operator==(const ChildCounts&, const ChildCounts&) = default;
};

}  // namespace genserver::v0
