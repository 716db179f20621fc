// SPDX-License-Identifier: BSL-1.0
// The end of a linked server, as a message.
#pragma once

#include <genserver/base/exit_reason.hpp>
#include <genserver/core/any_ref.hpp>
#include <genserver/core/handler_wait.hpp>

#include <concepts>
#include <memory>
#include <string>
#include <utility>

namespace genserver::inline v0 {

/// What a server that traps exits is told: who has ended, or sent the signal, and why.
///
/// Erlang: the message {'EXIT', From, Reason}.
struct ExitSignal {
  AnyRef who{};  ///< Empty if it was sent by a thread that is no server.
  std::string name{};
  ExitReason reason = ExitReason::normal();
};

/// A State that can be told of exits.
template <class State>
concept TrapsExits =
    requires(State& state, const ExitSignal& signal) { state.handle_info(signal); };

/// An exit signal on its way; its memory is there before it is needed.
class ExitMessage : public Message {
 public:
  virtual ~ExitMessage() = default;

  /// Gives the signal to `server`, and keeps itself alive meanwhile.
  static void send(std::shared_ptr<ExitMessage> message, ServerCore& server, ExitSignal signal) {
    ExitMessage& sent = *message;
    sent.signal_ = std::move(signal);
    sent.self_ = std::move(message);
    if (!server.post(sent)) sent.self_.reset();
  }

  void refuse(const Refusal&) noexcept override { end(); }

 protected:
  ExitMessage() noexcept : Message{CallSite{}} {}

  [[nodiscard]] const ExitSignal& signal() const noexcept { return signal_; }
  void end() noexcept { const auto last = std::move(self_); }

 private:
  ExitSignal signal_{};
  std::shared_ptr<ExitMessage> self_{};  // while it is in a mailbox
};

/// The one for a certain State.
template <class State>
class ExitMessageFor final : public ExitMessage {
 public:
  void run(void* state) override {
    running_server().begin_handler();
    static_cast<State*>(state)->handle_info(signal());
    running_server().end_handler();
    end();
  }
};

inline void AnyRef::exit(const ExitReason& reason, CallSite site) const {
  ServerCore& server = core();
  server.check_not_forked(site);
  if (reason.kind() == ExitReason::Kind::killed) return server.kill();
  if (server.traps_exits()) {
    ExitSignal signal{AnyRef{}, {}, reason};
    if (Running::now() != nullptr) {
      signal.who = AnyRef::of(running_server().shared_from_this());
      signal.name = running_server().name();
    }
    return ExitMessage::send(server.make_exit_message(), server, std::move(signal));
  }
  if (reason.kind() != ExitReason::Kind::normal) server.exit(reason);
}

/// Returns what tells the running handler that its server got an exit signal, for waits that are
/// not the library's: std::condition_variable_any, loops.
///
/// Throws: SelfWait outside of handlers.
inline StopToken self_stop_token(CallSite site = CallSite::here()) {
  const Running* const running = Running::now();
  if (running != nullptr) return running->server.interrupts().stop_token();
  throw SelfWait{"self_stop_token() was called at " + to_string(site) +
                 ", outside of any server's handler"};
}

/// Sleeps, in a handler or elsewhere.
///
/// Blocks: for `length`. Throws: Exit, if the server whose handler sleeps gets an exit signal.
/// Erlang: timer:sleep/1.
inline void sleep_for(Timespan length) {
  OneShot never;
  if (sleep_interruptibly(never, Deadline::after(length)) == Waited::interrupted) check_exit();
}

}  // namespace genserver::v0
