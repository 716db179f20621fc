// SPDX-License-Identifier: BSL-1.0
// What may be sent to a server: handlers, which are closures, and messages, which State handles.
#pragma once

#include <genserver/base/error.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

/// A type that can be a server's state: an object that can be made and destroyed.
template <class State>
concept ServerState = std::is_object_v<State> && !std::is_array_v<State> &&
                      !std::is_const_v<State> && !std::is_abstract_v<State> &&
                      std::destructible<State>;

/// A closure that a server can run: it takes `State&`, or nothing.
template <class Handler, class State>
concept HandlerOf = std::invocable<Handler&, State&> || std::invocable<Handler&>;

/// A message with which State can be called: it has `handle_call(message)`.
template <class Message, class State>
concept CallMessageOf =
    requires(State& state, Message message) { state.handle_call(std::move(message)); };

/// A message that can be cast to State: it has `handle_cast(message)`.
template <class Message, class State>
concept CastMessageOf =
    requires(State& state, Message message) { state.handle_cast(std::move(message)); };

/// A message that State takes from anyone: it has `handle_info(message)`.
template <class Message, class State>
concept InfoMessageOf =
    requires(State& state, Message message) { state.handle_info(std::move(message)); };

/// A message that can be given to State again and again: it can be copied.
template <class Message, class State>
concept PeriodicMessageOf =
    std::copy_constructible<Message> &&
    (CastMessageOf<Message, State> || InfoMessageOf<Message, State>);

/// What can be called: a closure or a message.
template <class Sent, class State>
concept CallRequestOf =
    HandlerOf<Sent, State> || CallMessageOf<std::remove_const_t<Sent>, State>;

/// What can be cast at once.
template <class Sent, class State>
concept CastRequestOf = HandlerOf<Sent, State> || CastMessageOf<Sent, State>;

/// What can be cast later.
template <class Sent, class State>
concept TimerRequestOf = CastRequestOf<Sent, State> || InfoMessageOf<Sent, State>;

/// What can be cast again and again.
template <class Sent, class State>
concept PeriodicRequestOf = HandlerOf<Sent, State> || PeriodicMessageOf<Sent, State>;

/// A condition on State, which it does not change.
template <class Guard, class State>
concept GuardOf = std::predicate<Guard&, const State&>;

/// Lets a handler return a reference or view into its State on purpose: the caller then shares
/// it with the server without any protection, so the user has to know why that is right.
///
///   server.call([](State& s) { return unsafe_ref(s.constant_table); }).get()
template <class T>
class unsafe_ref {
 public:
  explicit unsafe_ref(T&& value) noexcept : value_{std::forward<T>(value)} {}

  [[nodiscard]] std::remove_reference_t<T>& get() noexcept { return value_; }
  operator std::remove_reference_t<T>&() noexcept { return value_; }

 private:
  T value_;
};

template <class T>
unsafe_ref(T&&) -> unsafe_ref<T>;

namespace detail {

template <class T>
inline constexpr bool points_into =
    std::is_reference_v<T> ||
    (std::is_class_v<T> && (std::input_or_output_iterator<T> || std::ranges::enable_view<T>));
template <class T>
inline constexpr bool points_into<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool points_into<std::optional<T>> = points_into<std::remove_cv_t<T>>;
template <class A, class B>
inline constexpr bool points_into<std::pair<A, B>> =
    points_into<std::remove_cv_t<A>> || points_into<std::remove_cv_t<B>>;
template <class... T>
inline constexpr bool points_into<std::tuple<T...>> = (points_into<std::remove_cv_t<T>> || ...);

/// A function object that may be empty, as std::function; an empty class, as a lambda without
/// captures, never is, though it can be compared with null.
template <class Handler>
concept Nullable = !std::is_empty_v<Handler> && !std::is_function_v<Handler> &&
                   requires(const Handler& handler) {
                     { handler == nullptr } -> std::convertible_to<bool>;
                     static_cast<bool>(handler);
                   };

/// A handler that returns nothing and takes State by value, so that it changes a copy; of a
/// generic lambda, or one that is overloaded, nobody knows.
template <class Run, class State>
inline constexpr bool takes_copy = false;
template <class State>
inline constexpr bool takes_copy<void (*)(State), State> = true;
template <class State>
inline constexpr bool takes_copy<void (*)(State) noexcept, State> = true;
template <class H, class State>
inline constexpr bool takes_copy<void (H::*)(State), State> = true;
template <class H, class State>
inline constexpr bool takes_copy<void (H::*)(State) const, State> = true;
template <class H, class State>
inline constexpr bool takes_copy<void (H::*)(State) noexcept, State> = true;
template <class H, class State>
inline constexpr bool takes_copy<void (H::*)(State) const noexcept, State> = true;

/// A number is copied to be looked at, and through a pointer one changes what it points to.
template <class State>
concept CopiedOnPurpose =
    std::is_trivially_copyable_v<State> || requires(State& state) { state.operator->(); };

template <class Handler, class State>
constexpr bool changes_copy() {
  if constexpr (CopiedOnPurpose<State>) {
    return false;
  } else if constexpr (requires { &Handler::operator(); }) {
    return takes_copy<decltype(&Handler::operator()), State>;
  } else {
    return takes_copy<std::decay_t<Handler>, State>;
  }
}

}  // namespace detail

/// What a handler returns must be a value: a reference, string_view, span, iterator or other view
/// would let the caller touch State while the server changes it.
template <class R>
concept ReturnsValue = !detail::points_into<std::remove_cv_t<R>>;

/// Refuses an empty std::function, a null function pointer, and the like.
///
/// Throws: InvalidArgument, which names the call site.
template <class Handler>
void check_not_empty(const Handler& handler, const CallSite& site) {
  if constexpr (detail::Nullable<Handler>) {
    if (handler == nullptr) {
      throw InvalidArgument{"an empty function was sent at " + to_string(site)};
    }
  }
}

/// Runs a handler, or hands a message to State's `handle_call`.
template <class State, class Handler>
decltype(auto) run_call(State& state, Handler& handler) {
  if constexpr (std::invocable<Handler&, State&>) {
    static_assert(!detail::changes_copy<Handler, State>(),
                  "genserver: this handler takes State by value, so it would change a copy: take "
                  "State&, or const State& to look only");
    return std::invoke(handler, state);
  } else if constexpr (std::invocable<Handler&>) {
    return std::invoke(handler);
  } else {
    return state.handle_call(std::move(handler));
  }
}

/// Runs a handler, or hands a message to State's `handle_cast`; what it returns is dropped.
template <class State, class Handler>
void run_cast(State& state, Handler& handler) {
  if constexpr (HandlerOf<Handler, State>) {
    static_cast<void>(run_call(state, handler));
  } else if constexpr (CastMessageOf<Handler, State>) {
    static_cast<void>(state.handle_cast(std::move(handler)));
  } else {
    static_cast<void>(state.handle_info(std::move(handler)));
  }
}

namespace detail {

/// The type that run_call returns; void for what cannot be sent, so that naming it is no error
/// and the compiler speaks of the concepts.
template <class Handler, class State>
struct CallResult {
  using type = void;
};
template <class Handler, class State>
  requires CallRequestOf<Handler, State>
struct CallResult<Handler, State> {
  using type = decltype(run_call(std::declval<State&>(), std::declval<Handler&>()));
};

}  // namespace detail

/// The type that a call with `Handler` returns.
template <class Handler, class State>
using CallResult = typename detail::CallResult<std::remove_reference_t<Handler>, State>::type;

}  // namespace genserver::v0
