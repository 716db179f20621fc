// SPDX-License-Identifier: BSL-1.0
// How a supervisor treats its children.
#pragma once

#include <genserver/otp/child_spec.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>

namespace genserver::inline v0 {

/// Which children are restarted with the one that has ended.
///
/// Erlang: the `strategy` of supervisor:sup_flags().
enum class Strategy {
  one_for_one,  ///< None.
  one_for_all,  ///< All others: they are stopped in reverse order, then all start in order.
  rest_for_one  ///< Those that were started after it, likewise.
};

/// Whether the supervisor ends when significant children end by themselves and are not restarted.
///
/// Erlang: the `auto_shutdown` of supervisor:sup_flags().
enum class AutoShutdown {
  never,
  any_significant,  ///< With the first.
  all_significant   ///< With the last.
};

/// How long to wait before a child is restarted. The wait grows with every restart of the same
/// child, and is short again when it has run for `reset_after`.
struct BackOff {
  std::chrono::nanoseconds first = std::chrono::milliseconds{100};  ///< Before the first restart.
  std::chrono::nanoseconds longest = std::chrono::seconds{30};      ///< It grows up to this.
  double factor = 2;  ///< By how much it grows each time: 1 or more.
  /// By which part of itself each wait is made shorter, at most and at random: 0 to 1. So servers
  /// that failed together do not come back together.
  double jitter = 0.5;
  std::chrono::nanoseconds reset_after = std::chrono::minutes{1};

  /// Returns the wait before the `restart`-th restart in a row, counted from 0; `random` is 0 to 1.
  [[nodiscard]] std::chrono::nanoseconds delay(unsigned restart, double random) const noexcept;
};

/// The options of a Supervisor; all may be left out.
///
/// Erlang: supervisor:sup_flags().
struct SupervisorOptions {
  std::string name = "supervisor";            ///< Options::name of the server that it is.
  Strategy strategy = Strategy::one_for_one;  ///< Which children are restarted with one.
  /// More restarts than this within `within` end the supervisor with `shutdown`. A failing restart
  /// counts as one.
  unsigned max_restarts = 3;
  std::chrono::nanoseconds within = std::chrono::seconds{5};
  AutoShutdown auto_shutdown = AutoShutdown::never;  ///< Whether significant children end it.
  std::optional<BackOff> back_off{};                 ///< Empty: children are restarted at once.
};

/// The options of a DynamicSupervisor; all may be left out. Those that a Supervisor has mean the
/// same.
struct DynamicSupervisorOptions {
  std::string name = "dynamic supervisor";
  unsigned max_restarts = 3;
  std::chrono::nanoseconds within = std::chrono::seconds{5};
  std::size_t max_children = std::numeric_limits<std::size_t>::max();  ///< More are refused.
  std::optional<BackOff> back_off{};
};

/// The rules of any kind of supervisor.
struct SupervisionRules {
  SupervisorOptions options{};
  bool is_dynamic = false;  ///< Ids are not unique; who is not restarted is forgotten.
  std::size_t max_children = std::numeric_limits<std::size_t>::max();

  [[nodiscard]] ChildIds ids() const noexcept {
    return is_dynamic ? ChildIds::any : ChildIds::unique;
  }
};

inline std::chrono::nanoseconds BackOff::delay(unsigned restart, double random) const noexcept {
  constexpr double century = 3.2e18;  // what fits, in nanoseconds
  const double limit = std::min(static_cast<double>(longest.count()), century);
  const double growth = std::min(std::pow(factor, restart), century);  // it may be infinite
  const double grown = static_cast<double>(first.count()) * growth;
  const double delay = std::min(grown, limit) * (1 - jitter * random);
  return std::chrono::nanoseconds{static_cast<std::chrono::nanoseconds::rep>(delay)};
}

namespace detail {

inline void validate(const BackOff& back_off, const std::string& who) {
  const auto refuse = [&](const std::string& what) {
    throw InvalidArgument{who + ": back_off." + what};
  };
  if (back_off.first.count() < 0) refuse("first is negative");
  if (back_off.longest < back_off.first) refuse("longest is shorter than first");
  if (!(back_off.factor >= 1 && std::isfinite(back_off.factor))) {
    refuse(fmt::format("factor is {}, it has to be 1 or more", back_off.factor));
  }
  if (!(back_off.jitter >= 0 && back_off.jitter <= 1)) {
    refuse(fmt::format("jitter is {}, allowed is 0 to 1", back_off.jitter));
  }
  if (back_off.reset_after.count() < 0) refuse("reset_after is negative");
}

}  // namespace detail

/// Checks that the options make sense.
///
/// Throws: InvalidArgument, which names the option, its value and what is allowed.
inline void validate(const SupervisorOptions& options) {
  const std::string who = "supervisor \"" + options.name + "\"";
  if (options.within.count() <= 0) {
    throw InvalidArgument{who + ": within is " + std::to_string(options.within.count()) +
                          " ns, it has to be positive"};
  }
  if (options.back_off) detail::validate(*options.back_off, who);
}

/// Checks that a child's specification makes sense for such a supervisor.
///
/// Throws: InvalidArgument, which names the child, the field and what is allowed.
inline void validate(const ChildSpec& spec, AutoShutdown auto_shutdown,
                     ChildIds ids = ChildIds::unique) {
  const auto refuse = [&](const std::string& what) {
    throw InvalidArgument{"child \"" + spec.id + "\": " + what};
  };
  if (ids == ChildIds::unique && spec.id.empty()) {
    throw InvalidArgument{"a child's specification has no id"};
  }
  if (!spec.significant) return;
  if (spec.restart == Restart::permanent) {
    refuse("a permanent child cannot be significant: it is always restarted");
  }
  if (auto_shutdown == AutoShutdown::never) {
    refuse("it is significant, but the supervisor's auto_shutdown is never");
  }
}

}  // namespace genserver::v0
