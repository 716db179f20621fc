// SPDX-License-Identifier: BSL-1.0
// The messages that carry the user's handlers to a server.
#pragma once

#include <genserver/base/handler.hpp>
#include <genserver/base/outcome.hpp>
#include <genserver/core/reply.hpp>
#include <genserver/core/server_core.hpp>
#include <genserver/sync/message_pool.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

/// Puts messages that are made with `new` into the pool's blocks, if they fit.
class Pooled {
 public:
  static void* operator new(std::size_t size) {
    return size <= MessagePool::block_size ? MessagePool::allocate() : ::operator new(size);
  }
  static void operator delete(void* memory, std::size_t size) noexcept {
    size <= MessagePool::block_size ? MessagePool::deallocate(memory) : ::operator delete(memory);
  }
  static void* operator new(std::size_t size, std::align_val_t alignment) {
    return fits(size, alignment) ? MessagePool::allocate() : ::operator new(size, alignment);
  }
  static void operator delete(void* memory, std::size_t size,
                              std::align_val_t alignment) noexcept {
    fits(size, alignment) ? MessagePool::deallocate(memory) : ::operator delete(memory, alignment);
  }

 private:
  static bool fits(std::size_t size, std::align_val_t alignment) noexcept {
    return size <= MessagePool::block_size &&
           static_cast<std::size_t>(alignment) <= MessagePool::block_alignment;
  }
};

/// What an exception in a call does to the server that runs on this thread.
inline OnException on_exception() noexcept { return running_server().options().on_exception; }

/// A handler whose result nobody waits for.
template <class State, class Handler>
class CastMessage final : public Message, public Pooled {
 public:
  CastMessage(Handler&& handler, const CallSite& site)
      : Message{site}, handler_(std::move(handler)) {}

  void run(void* state) override {
    running_server().begin_handler();
    run_cast(*static_cast<State*>(state), handler_);
    running_server().end_handler();
    delete this;
  }
  void refuse(const Refusal&) noexcept override { delete this; }

 private:
  Handler handler_;
};

/// Who keeps a handler while it runs: the caller, in whose frame it is, or the server, so that it
/// is still there if the server is killed and the caller let go.
enum class HandlerIs { lent, given };

/// A call whose caller waits, with the handler and the result in the caller's frame.
template <class State, class Handler, HandlerIs handler_is, class Base = Message>
class FrameCall : public Base {
 public:
  using Result = CallResult<Handler, State>;

  FrameCall(Handler& handler, const CallSite& site) noexcept : Base{site}, handler_{handler} {}

  /// Sets what ends the caller's edge of the wait graph.
  void set_waiter(WaitToken waiter) noexcept { waiter_ = waiter; }
  /// The message that is in the mailbox: this one, or one that stands for it.
  void set_sent_as(Message& message) noexcept { sent_as_ = &message; }
  OneShot& done() noexcept { return done_; }
  Outcome<Result>& outcome() noexcept { return outcome_; }

  void refuse(const Refusal& refusal) noexcept override {
    outcome_.set_refusal(refusal);
    complete();
  }
  bool abandon(const Refusal& refusal) noexcept override {
    refuse(refusal);
    return false;
  }

 protected:
  ~FrameCall() = default;

  void answer(void* state);

  template <class Function>
  void answer_with(Function&& function);
  void fail(std::exception_ptr error) {
    trace_reply(true);
    outcome_.set_exception(std::move(error));
    complete();
  }

 private:
  void trace_reply(bool has_failed) noexcept {
    const Callee& server = running_server();
    if (!server.record().is_traced()) [[likely]] return;
    Tracer::instance().emit(TraceEvent::Kind::replied, server, *sent_as_,
                            Tracer::id_of(*sent_as_), has_failed);
  }
  void complete() noexcept {
    waiter_.end();  // before the answer, as every edge
    done_.set();    // the caller's frame, and with it this, may be gone now
  }

  Handler& handler_;
  Message* sent_as_ = this;
  WaitToken waiter_{};
  Outcome<Result> outcome_{};
  OneShot done_{};
};

/// Runs the handler. All that is in the caller's frame is read before: a kill may let the caller go
/// as soon as the handler has begun.
template <class State, class Handler, HandlerIs handler_is, class Base>
void FrameCall<State, Handler, handler_is, Base>::answer(void* state) {
  State& its_state = *static_cast<State*>(state);
  if constexpr (handler_is == HandlerIs::lent) {
    Handler& handler = handler_;
    answer_with([&its_state, &handler]() -> Result { return run_call(its_state, handler); });
  } else {
    std::optional<Handler> own;
    std::exception_ptr error = capture([&] { own.emplace(std::move(handler_)); }, on_exception());
    if (error) return fail(std::move(error));
    answer_with([&its_state, &own]() -> Result {
      struct Last {  // the handler is destroyed before its caller is answered
        std::optional<Handler>& handler;
        ~Last() { handler.reset(); }
      } const last{own};
      return run_call(its_state, *own);
    });
  }
}

/// Answers with what `function()` returns or throws, unless the server was killed meanwhile: then
/// the caller has been told, and neither his frame nor this is there any more.
template <class State, class Handler, HandlerIs handler_is, class Base>
template <class Function>
void FrameCall<State, Handler, handler_is, Base>::answer_with(Function&& function) {
  ServerCore& server = running_server();
  Outcome<Result> own;
  server.begin_handler();
  std::exception_ptr error = capture([&] { own.emplace_result_of(function); }, on_exception());
  if (!server.end_handler()) return;
  if (!error) error = capture([&] { outcome_.take_over(own); }, on_exception());
  trace_reply(error != nullptr);
  if (error) outcome_.set_exception(std::move(error));
  complete();
}

template <class State, class Handler, HandlerIs handler_is>
class CallMessage final : public FrameCall<State, Handler, handler_is> {
 public:
  using FrameCall<State, Handler, handler_is>::FrameCall;
  void run(void* state) override { this->answer(state); }
};

inline void GuardedMessage::run(void* state) {
  if (!try_run(state)) running_server().post_guarded(*this);
}

/// A call that is run once `guard` holds.
template <class State, class Guard, class Handler, HandlerIs handler_is>
class GuardedCall final : public FrameCall<State, Handler, handler_is, GuardedMessage> {
  using Frame = FrameCall<State, Handler, handler_is, GuardedMessage>;

 public:
  GuardedCall(Guard& guard, Handler& handler, const CallSite& site) noexcept
      : Frame{handler, site}, guard_{guard} {}

  bool try_run(void* state) override {
    bool holds = false;
    std::exception_ptr error =
        capture([&] { holds = guard_(std::as_const(*static_cast<State*>(state))); },
                on_exception());
    if (error) {
      this->fail(std::move(error));
      return true;
    }
    if (holds) this->answer(state);
    return holds;
  }

 private:
  Guard& guard_;
};

/// Stands in the mailbox for a call that a server's handler makes, in whose frame the call is: so
/// that the handler can leave, when an exit signal comes, and the call be left out.
///
///   queued ──▶ running ──▶ (the frame's)        back to queued, if a guard does not hold
///     └──▶ left
///
/// Owned by the caller and the server; who comes last frees it.
class RevocableCall final : public GuardedMessage, public Pooled {
 public:
  RevocableCall(Message& frame, GuardedMessage* guarded) noexcept
      : GuardedMessage{frame.site()}, frame_{frame}, guarded_{guarded} {}

  bool try_run(void* state) override {
    if (!change(Phase::queued, Phase::running)) {
      running_server().leave_unhandled();
      release();
      return true;
    }
    if (guarded_ == nullptr) {
      frame_.run(state);
    } else if (!guarded_->try_run(state)) {
      change(Phase::running, Phase::queued);
      return false;
    }
    release();
    return true;
  }
  void refuse(const Refusal& refusal) noexcept override {
    // Running: its handler has ended the server by an exception, and the frame is still there.
    if (change(Phase::queued, Phase::running) || !has_left()) frame_.refuse(refusal);
    release();
  }
  bool abandon(const Refusal& refusal) noexcept override {
    frame_.abandon(refusal);
    phase_.store(Phase::left, std::memory_order_release);  // P2
    return true;
  }

  /// The caller leaves. Returns false if he cannot now: the call runs.
  bool revoke() noexcept { return change(Phase::queued, Phase::left); }
  /// One of the two owners goes.
  void release() noexcept {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;  // P1
  }

 private:
  enum class Phase : std::uint8_t { queued, running, left };

  bool change(Phase from, Phase to) noexcept {
    return phase_.compare_exchange_strong(from, to, std::memory_order_acq_rel);  // P2
  }
  [[nodiscard]] bool has_left() const noexcept {
    return phase_.load(std::memory_order_acquire) == Phase::left;  // P2
  }

  Message& frame_;
  GuardedMessage* const guarded_;  // the frame, if it has a guard
  //   P1  release(): release ──▶ release(): acquire      what the other owner did
  std::atomic<std::uint8_t> owners_{2};
  //   P2  change(): release ──▶ change(), has_left(): acquire      who may touch the frame
  std::atomic<Phase> phase_{Phase::queued};
};

/// Sends a call whose frame is in a server's handler, and waits; an exit signal for that server
/// ends the wait, unless the call is running: it may use what the handler has lent it.
///
/// Throws: ServerGone; Exit.
template <class Frame>
void send_revocably(ServerCore& server, Frame& frame, GuardedMessage* guarded) {
  const CallSite site = frame.site();
  Interrupts& interrupts = Running::now()->server.interrupts();
  interrupts.check();
  struct Owner {
    RevocableCall* call;
    ~Owner() { call->release(); }
  } const own{new RevocableCall{frame, guarded}};
  frame.set_sent_as(*own.call);
  if (!server.post(*own.call)) {
    own.call->release();  // the server's part
    server.raise(server.end().refusal(), WaitKind::call, site);
  }
  Waited waited = server.await_interruptibly(frame.done(), WaitKind::call, site, Deadline::never());
  while (waited == Waited::interrupted) {
    if (own.call->revoke()) throw Exit{*interrupts.reason()};
    // It runs. If a guard sends it back into the queue, nobody tells; so look again.
    if (frame.done().sleep(Deadline::after(std::chrono::milliseconds{1}))) return;
  }
}

/// Hands `Reply` to a deferred handler, made in its parameter without a move.
template <class State, class Result, class Handler>
void run_deferred(State& state, Handler& handler,
                  const std::shared_ptr<RequestFor<Result>>& request) {
  if constexpr (requires { handler(state, Reply<Result>{request}); }) {
    handler(state, Reply<Result>{request});
  } else {
    state.handle_call(std::move(handler), Reply<Result>{request});
  }
}

/// Whether a handler returns its answer, or gets a Reply with which it may answer later.
enum class Answer { at_once, deferred };

/// A handler whose caller may have left when it is run.
template <class State, class Result, class Handler, Answer answer>
class RequestMessage final : public Message, public Pooled {
 public:
  RequestMessage(std::shared_ptr<RequestFor<Result>> request, Handler&& handler,
                 const CallSite& site)
      : Message{site}, request_{std::move(request)}, handler_(std::move(handler)) {}

  void run(void* state) override {
    if (request_->begin(Tracer::id_of(*this))) {
      run_with(*static_cast<State*>(state));
    } else {
      running_server().leave_unhandled();
    }
    delete this;
  }
  void refuse(const Refusal& refusal) noexcept override {
    request_->refuse(refusal);
    delete this;
  }
  bool abandon(const Refusal& refusal) noexcept override {
    request_->refuse(refusal);
    return true;
  }

 private:
  void run_with(State& state) {
    running_server().begin_handler();
    if constexpr (answer == Answer::at_once) {
      request_->answer_with([&]() -> Result { return run_call(state, handler_); },
                            on_exception());
    } else {
      std::exception_ptr error =
          capture([&] { run_deferred<State, Result>(state, handler_, request_); },
                  on_exception());
      if (error) request_->fail(std::move(error));
      request_->end_of_handler();
    }
    running_server().end_handler();
  }

  std::shared_ptr<RequestFor<Result>> request_;
  Handler handler_;
};

/// A handler that is due at some time.
template <class State, class Handler>
class TimerFor final : public TimerMessage {
 public:
  TimerFor(const std::shared_ptr<TimerQueue>& queue, std::chrono::nanoseconds period,
           Handler&& handler, const CallSite& site)
      : TimerMessage{queue, period, site}, handler_(std::move(handler)) {}

 private:
  void fire(void* state) override {
    running_server().begin_handler();
    if constexpr (HandlerOf<Handler, State> || !std::copy_constructible<Handler>) {
      run_cast(*static_cast<State*>(state), handler_);
    } else {
      Handler message(handler_);  // a message is given away, and may be needed again
      run_cast(*static_cast<State*>(state), message);
    }
    running_server().end_handler();
  }

  Handler handler_;
};

}  // namespace genserver::v0
