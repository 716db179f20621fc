// SPDX-License-Identifier: BSL-1.0
// The compiler's diagnosis of what cannot be sent to a server.
#pragma once

#include <genserver/base/call_site.hpp>
#include <genserver/base/deadline.hpp>
#include <genserver/base/handler.hpp>
#include <genserver/core/reply.hpp>

#include <concepts>
#include <string_view>
#include <type_traits>
#include <utility>

namespace genserver::inline v0::detail {

/// Stands for the result of what does not compile, so that one mistake is one error.
struct Anything {
  template <class T>
  operator T() const;
};

/// Stands for any Reply.
struct AnyReply {
  template <class R>
  operator Reply<R>() const;
};

template <class Time>
concept IsTimespan = std::convertible_to<Time, Timespan>;
template <class Time>
concept IsDeadline = std::convertible_to<Time, Deadline>;

/// It takes a Reply, whichever.
template <class Sent, class State>
concept Deferred =
    std::invocable<Sent&, State&, AnyReply> ||
    requires(State& state, Sent& sent) { state.handle_call(std::move(sent), AnyReply{}); };

/// State has a function for such a message, which wants to change the sender's.
template <class Message, class State>
concept Changed = requires(State& state, Message& message) { state.handle_call(message); } ||
                  requires(State& state, Message& message) { state.handle_cast(message); } ||
                  requires(State& state, Message& message) { state.handle_info(message); };

/// It can be run, so it is no message; a generic lambda cannot be asked.
template <class Sent>
concept Closure = std::is_function_v<std::remove_pointer_t<Sent>> ||
                  std::is_member_pointer_v<Sent> || requires { &Sent::operator(); };

/// It may have been meant as a handler or message. Not so a number or a text: with that a derived
/// class may have functions of the same names, in which it takes it by value.
template <class Sent>
concept Meant = Closure<Sent> ||
                (std::is_class_v<Sent> && !std::convertible_to<Sent, std::string_view>);

/// There is more than a handler, and the place where it is sent.
template <class Sent, class... More>
concept FurtherOf = Closure<Sent> && (!std::same_as<More, CallSite> || ...);

/// Explains what is neither a handler nor a message of State. Returns false if it finds no reason.
template <class Sent, class State>
constexpr bool is_explained() {
  constexpr bool is_const = std::is_const_v<Sent> && HandlerOf<std::remove_const_t<Sent>, State>;
  constexpr bool is_deferred = !is_const && Deferred<Sent, State>;
  constexpr bool is_changed = !is_const && !is_deferred && Changed<Sent, State>;
  constexpr bool is_closure = !is_const && !is_deferred && !is_changed && Closure<Sent>;
  static_assert(!is_const,
                "genserver: this handler changes what it has captured, so it cannot be const");
  static_assert(!is_deferred,
                "genserver: a handler that takes a Reply<R> is sent by call<R>(handler), "
                "call_for<R>(timeout, handler) or async_call<R>(handler): name the R");
  static_assert(!is_changed,
                "genserver: State's function for this message takes it by reference, but gets it "
                "to keep: let it take the message by value or by const reference");
  static_assert(!is_closure,
                "genserver: a handler takes this server's State& or nothing; what else it needs "
                "it captures, as in [by](State& state) { ... }");
  return is_const || is_deferred || is_changed || is_closure;
}

// Each says why `Sent` is not taken, if that is the reason; if `rest_is_right`, it has to be.

template <class Sent, class State, bool rest_is_right = true>
Anything why_not_called() {
  if constexpr (CastMessageOf<Sent, State> || InfoMessageOf<Sent, State>) {
    static_assert(CallRequestOf<Sent, State>,
                  "genserver: State takes this message by handle_cast or handle_info, so cast or "
                  "send it; to be called, State needs a handle_call that returns the answer");
  } else if constexpr (rest_is_right && !CallRequestOf<Sent, State>) {
    static_assert(is_explained<Sent, State>(),
                  "genserver: what is called is a handler, which takes State& or nothing, or a "
                  "message for which State has a public handle_call");
  }
  return {};
}

template <class Sent, class State, bool rest_is_right = true>
Anything why_not_told() {
  if constexpr (CallMessageOf<Sent, State> || InfoMessageOf<Sent, State>) {
    static_assert(CastRequestOf<Sent, State>,
                  "genserver: State takes this message by handle_call or handle_info, so call or "
                  "send it; to be cast to, State needs a handle_cast");
  } else if constexpr (rest_is_right && !CastRequestOf<Sent, State>) {
    static_assert(is_explained<Sent, State>(),
                  "genserver: what is cast is a handler, which takes State& or nothing, or a "
                  "message for which State has a public handle_cast");
  }
  return {};
}

template <class Sent, class State, bool rest_is_right = true>
Anything why_not_told_later() {
  if constexpr (!TimerRequestOf<Sent, State>) why_not_told<Sent, State, rest_is_right>();
  return {};
}

template <class Sent, class State, bool rest_is_right = true>
Anything why_not_told_again() {
  static_assert(PeriodicRequestOf<Sent, State> || !TimerRequestOf<Sent, State>,
                "genserver: a message that is cast again and again is copied each time, so it has "
                "to be copyable; or send a handler, which stays");
  return why_not_told_later<Sent, State, rest_is_right>();
}

template <class Sent, class State>
Anything why_not_sent() {
  static_assert(!HandlerOf<Sent, State>, "genserver: send() is for messages; cast() the handler");
  static_assert(HandlerOf<Sent, State> || InfoMessageOf<Sent, State>,
                "genserver: what is sent is a message for which State has a public handle_info");
  return {};
}

template <class R, class Sent, class State, bool rest_is_right = true>
Anything why_not_deferred() {
  constexpr bool is_at_once = CallRequestOf<Sent, State>;
  constexpr bool is_other = !is_at_once && Deferred<Sent, State>;
  constexpr bool is_right = !rest_is_right || DeferredHandlerOf<Sent, State, R>;
  static_assert(is_right || !is_at_once,
                "genserver: with <R> a handler takes Reply<R> and may answer later; one that "
                "returns its answer is called without: call(handler)");
  static_assert(is_right || !is_other,
                "genserver: the R of the handler's Reply<R> is not the one that the call names");
  static_assert(is_right || is_at_once || is_other,
                "genserver: with <R> a handler takes State& and Reply<R>, and a message has "
                "handle_call(message, Reply<R>)");
  return {};
}

template <class Guard, class Sent, class State>
Anything why_not_guarded() {
  static_assert(GuardOf<Guard, State>,
                "genserver: a guard takes const State&, which it cannot change, and returns "
                "whether the handler may run");
  static_assert(!GuardOf<Guard, State> || HandlerOf<Sent, State>,
                "genserver: what a guard guards is a handler, which takes State& or nothing");
  return {};
}

// Each says what is wrong with the other arguments, and returns whether they are right.

template <class Time>
constexpr bool check_timespan() {
  static_assert(IsTimespan<Time>,
                "genserver: give the time as a std::chrono::duration, as 100ms, not a number");
  return IsTimespan<Time>;
}
template <class Time>
constexpr bool check_deadline() {
  static_assert(IsDeadline<Time>,
                "genserver: give the deadline as a time_point of std::chrono::steady_clock");
  return IsDeadline<Time>;
}
template <class Sent, class... More>
constexpr bool check_alone() {
  static_assert(!FurtherOf<Sent, More...>,
                "genserver: one handler is sent, and nothing with it; what else it needs it "
                "captures, as in [by](State& state) { ... }");
  return !FurtherOf<Sent, More...>;
}

/// What ServerRef's sending functions do not take.
///
/// Overload resolution comes here if nothing else fits, and the compiler says why, where otherwise
/// it would list all that does not fit. Whether something can be sent is for the concepts of
/// handler.hpp to tell: to ask that by sending it is an error, too.
template <class State>
class Diagnosis {
  static_assert(std::is_object_v<State> && !std::is_array_v<State> && !std::is_const_v<State>,
                "genserver: State must be an object type, neither const nor an array; a server "
                "that needs none has an empty struct");

 public:
  template <class Sent, class H = std::remove_reference_t<Sent>, class... More>
    requires Meant<H> && (!CallRequestOf<H, State> || FurtherOf<H, More...>)
  auto call(Sent&&, const More&...) const {
    return why_not_called<H, State, check_alone<Sent, More...>()>();
  }
  template <class R, class Sent>
    requires Meant<Sent> && (!DeferredHandlerOf<Sent, State, R>)
  auto call(const Sent&) const {
    return why_not_deferred<R, Sent, State>();
  }

  template <class Time, class Sent>
    requires Meant<Sent> && (!IsTimespan<Time> || !CallRequestOf<Sent, State>)
  auto call_for(const Time&, const Sent&) const {
    return why_not_called<Sent, State, check_timespan<Time>()>();
  }
  template <class R, class Time, class Sent>
    requires Meant<Sent> && (!IsTimespan<Time> || !DeferredHandlerOf<Sent, State, R>)
  auto call_for(const Time&, const Sent&) const {
    return why_not_deferred<R, Sent, State, check_timespan<Time>()>();
  }
  template <class Time, class Sent>
    requires Meant<Sent> && (!IsDeadline<Time> || !CallRequestOf<Sent, State>)
  auto call_until(const Time&, const Sent&) const {
    return why_not_called<Sent, State, check_deadline<Time>()>();
  }
  template <class R, class Time, class Sent>
    requires Meant<Sent> && (!IsDeadline<Time> || !DeferredHandlerOf<Sent, State, R>)
  auto call_until(const Time&, const Sent&) const {
    return why_not_deferred<R, Sent, State, check_deadline<Time>()>();
  }
  template <class Guard, class Sent>
    requires(!GuardOf<Guard, State> || !HandlerOf<Sent, State>)
  auto call_when(const Guard&, const Sent&) const {
    return why_not_guarded<Guard, Sent, State>();
  }

  template <class Sent, class... More>
    requires Meant<Sent> && (!CallRequestOf<Sent, State> || FurtherOf<Sent, More...>)
  auto async_call(const Sent&, const More&...) const {
    return why_not_called<Sent, State, check_alone<Sent, More...>()>();
  }
  template <class R, class Sent>
    requires Meant<Sent> && (!DeferredHandlerOf<Sent, State, R>)
  auto async_call(const Sent&) const {
    return why_not_deferred<R, Sent, State>();
  }

  template <class Sent, class... More>
    requires Meant<Sent> && (!CastRequestOf<Sent, State> || FurtherOf<Sent, More...>)
  auto cast(const Sent&, const More&...) const {
    return why_not_told<Sent, State, check_alone<Sent, More...>()>();
  }
  template <class Sent>
    requires Meant<Sent> && (!CastRequestOf<Sent, State>)
  auto try_cast(const Sent&) const {
    return why_not_told<Sent, State>();
  }
  template <class Time, class Sent>
    requires Meant<Sent> && (!IsTimespan<Time> || !CastRequestOf<Sent, State>)
  auto cast_for(const Time&, const Sent&) const {
    return why_not_told<Sent, State, check_timespan<Time>()>();
  }
  template <class Sent>
    requires Meant<Sent> && (!InfoMessageOf<Sent, State>)
  auto send(const Sent&) const {
    return why_not_sent<Sent, State>();
  }

  template <class Time, class Sent>
    requires Meant<Sent> && (!IsTimespan<Time> || !TimerRequestOf<Sent, State>)
  auto cast_after(const Time&, const Sent&) const {
    return why_not_told_later<Sent, State, check_timespan<Time>()>();
  }
  template <class Time, class Sent>
    requires Meant<Sent> && (!IsTimespan<Time> || !PeriodicRequestOf<Sent, State>)
  auto cast_every(const Time&, const Sent&) const {
    return why_not_told_again<Sent, State, check_timespan<Time>()>();
  }
  template <class Sent>
    requires Meant<Sent> && (!CastRequestOf<Sent, State>)
  auto continue_with(const Sent&) const {
    return why_not_told<Sent, State>();
  }
};

}  // namespace genserver::v0::detail
