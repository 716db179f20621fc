// SPDX-License-Identifier: BSL-1.0
// The answer to a call that one did not wait for.
#pragma once

#include <genserver/core/handler_wait.hpp>
#include <genserver/core/request.hpp>

#include <memory>
#include <utility>

namespace genserver::inline v0 {

/// Holds the place of an answer. Dropping it is fine: the request is handled all the same.
///
/// Unlike with std::future, a server that waits here is an edge of the wait graph, and an answer
/// that cannot come any more says why.
///
/// Threads: one at a time; it may be moved to another.
/// Throws:  InvalidArgument from every function but valid(), if there is no answer to be had.
/// Erlang:  the request id of gen_server:send_request/2.
template <class R>
class Future {
 public:
  Future() noexcept = default;
  explicit Future(std::shared_ptr<RequestFor<R>> request) noexcept
      : request_{std::move(request)} {}
  Future(Future&&) noexcept = default;
  Future& operator=(Future&&) noexcept = default;

  /// Returns whether get() may be called: it was made by async_call, and not asked before.
  [[nodiscard]] bool valid() const noexcept { return request_ != nullptr; }
  /// Returns whether the answer is there.
  [[nodiscard]] bool is_ready() const { return request().is_done(); }

  /// Returns the answer, once.
  ///
  /// Blocks: until it is there.
  /// Throws: what the handler threw; ServerGone, MailboxFull, NoReply; Deadlock, or SelfWait if
  ///         the server itself asks: then the future stays valid.
  R get(CallSite site = CallSite::here());

  /// Waits for the answer and leaves it there.
  ///
  /// Blocks: until it is there. Throws: Deadlock, SelfWait.
  void wait(CallSite site = CallSite::here()) const { wait_until(Deadline::never(), site); }
  /// Returns false if the time is up and there is no answer yet.
  bool wait_for(Timespan timeout, CallSite site = CallSite::here()) const {
    return wait_until(Deadline::after(timeout), site);
  }
  /// As wait_for(), until a point of steady_clock.
  bool wait_until(Deadline deadline, CallSite site = CallSite::here()) const {
    RequestWait wait{request(), WaitKind::future, site};
    wait.begin();
    const Waited waited = wait.until(deadline);
    if (waited == Waited::interrupted) check_exit();
    return waited == Waited::done;
  }

 private:
  [[nodiscard]] RequestFor<R>& request() const {
    if (!request_) {
      throw InvalidArgument{"an empty Future was used: it was moved from, or asked before"};
    }
    return *request_;
  }

  std::shared_ptr<RequestFor<R>> request_{};
};

template <class R>
R Future<R>::get(CallSite site) {
  wait(site);
  const std::shared_ptr<RequestFor<R>> request = std::move(request_);
  return request->take(WaitKind::call, request->site());
}

}  // namespace genserver::v0
