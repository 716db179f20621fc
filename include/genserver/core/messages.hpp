// SPDX-License-Identifier: BSL-1.0
// The messages that carry the user's handlers to a server.
#pragma once

#include <genserver/base/handler.hpp>
#include <genserver/base/outcome.hpp>
#include <genserver/core/reply.hpp>
#include <genserver/core/server_core.hpp>
#include <genserver/sync/message_pool.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace genserver {

/// Puts messages that are made with `new` into the pool's blocks, if they fit.
class PooledMessage : public Message {
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

 protected:
  using Message::Message;
  ~PooledMessage() = default;

 private:
  static bool fits(std::size_t size, std::align_val_t alignment) noexcept {
    return size <= MessagePool::block_size &&
           static_cast<std::size_t>(alignment) <= MessagePool::block_alignment;
  }
};

/// Returns whether an exception in a call ends the server that runs on this thread.
inline bool crashes_on_exception() noexcept {
  return Running::now()->server.options().on_exception == OnException::crash;
}

/// A handler whose result nobody waits for.
template <class State, class Handler>
class CastMessage final : public PooledMessage {
 public:
  CastMessage(Handler&& handler, const CallSite& site)
      : PooledMessage{site}, handler_(std::move(handler)) {}

  void run(void* state) override {
    run_cast(*static_cast<State*>(state), handler_);
    delete this;
  }
  void refuse(const Refusal&) noexcept override { delete this; }

 private:
  Handler handler_;
};

/// A call whose caller waits, with the handler and the result in the caller's frame.
template <class State, class Handler, class Base = Message>
class FrameCall : public Base {
 public:
  using Result = CallResult<Handler, State>;

  FrameCall(Handler& handler, const CallSite& site) noexcept : Base{site}, handler_{handler} {}

  /// Sets what ends the caller's edge of the wait graph.
  void set_waiter(WaitToken waiter) noexcept { waiter_ = waiter; }
  OneShot& done() noexcept { return done_; }
  Outcome<Result>& outcome() noexcept { return outcome_; }

  void refuse(const Refusal& refusal) noexcept override {
    outcome_.set_refusal(refusal);
    complete();
  }

 protected:
  ~FrameCall() = default;

  void answer(void* state) {
    answer_with([&]() -> Result { return run_call(*static_cast<State*>(state), handler_); });
  }

  template <class Function>
  void answer_with(Function&& function) {
    std::exception_ptr error =
        capture([&] { outcome_.emplace_result_of(function); }, crashes_on_exception());
    trace_reply(error != nullptr);
    if (error) outcome_.set_exception(std::move(error));
    complete();
  }

 private:
  void trace_reply(bool has_failed) noexcept {
    const Callee& server = Running::now()->server;
    if (!server.record().is_traced()) [[likely]] return;
    Tracer::instance().emit(TraceEvent::Kind::replied, server, *this, Tracer::id_of(*this),
                            has_failed);
  }
  void complete() noexcept {
    waiter_.end();  // before the answer, as every edge
    done_.set();    // the caller's frame, and with it this, may be gone now
  }

  Handler& handler_;
  WaitToken waiter_{};
  Outcome<Result> outcome_{};
  OneShot done_{};
};

template <class State, class Handler>
class CallMessage final : public FrameCall<State, Handler> {
 public:
  using FrameCall<State, Handler>::FrameCall;
  void run(void* state) override { this->answer(state); }
};

inline void GuardedMessage::run(void* state) {
  if (!try_run(state)) static_cast<ServerCore&>(Running::now()->server).post_guarded(*this);
}

/// A call that is run once `guard` holds.
template <class State, class Guard, class Handler>
class GuardedCall final : public FrameCall<State, Handler, GuardedMessage> {
  using Frame = FrameCall<State, Handler, GuardedMessage>;

 public:
  GuardedCall(Guard& guard, Handler& handler, const CallSite& site) noexcept
      : Frame{handler, site}, guard_{guard} {}

  bool try_run(void* state) override {
    bool holds = false;
    std::exception_ptr error =
        capture([&] { holds = guard_(std::as_const(*static_cast<State*>(state))); },
                crashes_on_exception());
    if (error) {
      this->answer_with([&]() -> typename Frame::Result {
        std::rethrow_exception(std::move(error));
      });
      return true;
    }
    if (holds) this->answer(state);
    return holds;
  }

 private:
  Guard& guard_;
};

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
class RequestMessage final : public PooledMessage {
 public:
  RequestMessage(std::shared_ptr<RequestFor<Result>> request, Handler&& handler,
                 const CallSite& site)
      : PooledMessage{site}, request_{std::move(request)}, handler_(std::move(handler)) {}

  void run(void* state) override {
    if (request_->begin(Tracer::id_of(*this))) run_with(*static_cast<State*>(state));
    delete this;
  }
  void refuse(const Refusal& refusal) noexcept override {
    request_->refuse(refusal);
    delete this;
  }

 private:
  void run_with(State& state) {
    if constexpr (answer == Answer::at_once) {
      request_->answer_with([&]() -> Result { return run_call(state, handler_); },
                            crashes_on_exception());
    } else {
      std::exception_ptr error =
          capture([&] { run_deferred<State, Result>(state, handler_, request_); },
                  crashes_on_exception());
      if (error) request_->fail(std::move(error));
      request_->end_of_handler();
    }
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
    if constexpr (HandlerOf<Handler, State> || !std::copy_constructible<Handler>) {
      run_cast(*static_cast<State*>(state), handler_);
    } else {
      Handler message(handler_);  // a message is given away, and may be needed again
      run_cast(*static_cast<State*>(state), message);
    }
  }

  Handler handler_;
};

}  // namespace genserver
