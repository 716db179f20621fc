// SPDX-License-Identifier: BSL-1.0
// The right to answer one call, now or later, here or on another thread.
#pragma once

#include <genserver/core/request.hpp>

#include <concepts>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

/// Answers one call, once: the first of reply(), fail() and abort() counts.
///
///   int row = table.call<int>([](Table& table, Reply<int> reply) {
///     table.waiting.push_back(std::move(reply));  // a later handler answers
///   });
///
/// A handler gets it as its second parameter. It may answer at once, keep the reply in its State
/// and answer in a later handler, or give it to another thread. Dropping it unanswered makes the
/// caller throw NoReply, or ServerGone if the server is ending.
///
/// As long as a reply has not been moved out of the handler's parameter, the call counts as an
/// edge of the wait graph; then anybody may answer, so that a circle through it is no certain
/// deadlock, and left to the watchdog.
///
/// Threads: any, also several at once; moving it is for one.
/// Throws:  InvalidArgument from every function of an empty reply: made by default or moved from.
/// Erlang:  gen_server:reply/2 and the From of handle_call/3.
template <class R>
class Reply {
 public:
  Reply() noexcept = default;
  explicit Reply(std::shared_ptr<RequestFor<R>> request) noexcept : request_{std::move(request)} {}
  Reply(Reply&& other) noexcept : request_{std::move(other.request_)} {
    if (request_) request_->detach();
  }
  Reply& operator=(Reply&& other) noexcept;
  ~Reply() {
    if (request_) request_->drop();
  }

  /// Gives the caller its result. Returns false if it has one already or has left.
  template <class Value>
    requires std::constructible_from<R, Value&&>
  bool reply(Value&& value) {
    return request().answer(std::forward<Value>(value));
  }
  bool reply()
    requires std::is_void_v<R>
  {
    return request().answer();
  }

  /// Makes the caller's call throw `error`. Returns false as reply() does.
  bool fail(std::exception_ptr error);
  template <class Exception>
    requires(!std::convertible_to<Exception, std::exception_ptr>)
  bool fail(Exception&& error) {
    return fail(std::make_exception_ptr(std::forward<Exception>(error)));
  }

  /// Makes the caller's call throw NoReply. Returns false as reply() does.
  bool abort() { return request().refuse({Refusal::Kind::no_reply, ExitReason::normal()}); }

  /// Returns whether there is a call to answer, that is, whether it is not empty.
  [[nodiscard]] explicit operator bool() const noexcept { return request_ != nullptr; }

  /// A note on what the answer depends on; timeouts and reports show it.
  void set_label(std::string label) { request().set_label(std::move(label)); }
  /// Returns the note, or nothing if none was set.
  [[nodiscard]] std::string label() const { return request().label(); }
  /// Returns how often a handler has returned and left the answer for later.
  [[nodiscard]] unsigned rounds() const { return request().rounds(); }

 private:
  [[nodiscard]] RequestFor<R>& request() const {
    if (!request_) {
      throw InvalidArgument{"an empty Reply was used: it was moved from, or never filled"};
    }
    return *request_;
  }

  std::shared_ptr<RequestFor<R>> request_{};
};

/// A closure `void(State&, Reply<R>)`, or a message with `handle_call(message, Reply<R>)`, that
/// may answer later.
template <class Handler, class State, class R>
concept DeferredHandlerOf =
    requires(Handler& handler, State& state) { handler(state, std::declval<Reply<R>>()); } ||
    requires(Handler& message, State& state) {
      state.handle_call(std::move(message), std::declval<Reply<R>>());
    };

template <class R>
Reply<R>& Reply<R>::operator=(Reply&& other) noexcept {
  if (this != &other) {
    Reply old{std::move(*this)};  // dropped at the end
    request_ = std::move(other.request_);
    if (request_) request_->detach();
  }
  return *this;
}

template <class R>
bool Reply<R>::fail(std::exception_ptr error) {
  if (!error) throw InvalidArgument{"Reply::fail was given no exception"};
  return request().fail(std::move(error));
}

}  // namespace genserver::v0
