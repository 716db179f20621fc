// SPDX-License-Identifier: BSL-1.0
// A server's watch over the end of another.
#pragma once

#include <genserver/core/gen_server.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

/// Which server has ended, and why.
///
/// Erlang: the message {'DOWN', Ref, process, Pid, Reason}.
struct Down {
  AnyRef who{};
  std::string name{};
  ExitReason reason = ExitReason::normal();
};

/// A function that can be told of a Down: `(State&, const Down&)` or `(const Down&)`.
template <class OnDown, class State>
concept OnDownOf = std::invocable<OnDown&, State&, const Down&> ||
                   std::invocable<OnDown&, const Down&>;

/// A Down on its way: first in the list of the server that is watched, then in the mailbox of the
/// one that watches. Its memory is there from the beginning.
///
///   armed ──▶ sent ──▶ over        cancel() makes it over before its handler begins
class DownMessage : public ExitWatcher,
                    public Message,
                    public std::enable_shared_from_this<DownMessage> {
 public:
  DownMessage(AnyRef target, std::weak_ptr<ServerCore> observer, const CallSite& site)
      : Message{site}, down_{std::move(target)}, observer_{std::move(observer)} {
    down_.name = down_.who.name();
  }

  /// Tells the observer. Does nothing the second time.
  void on_exit(const ExitedServer& server) noexcept final { send(server.reason); }
  void send(const ExitReason& reason) noexcept;

  void run(void* state) final {
    if (change(Phase::sent, Phase::over)) tell(state);
    release();
  }
  void refuse(const Refusal&) noexcept final { release(); }

  /// Sees to it that nobody is told any more, unless that has begun. Returns whether it was armed
  /// or on its way.
  bool cancel() noexcept;
  [[nodiscard]] bool is_active() const noexcept {
    return phase_.load(std::memory_order_relaxed) != Phase::over;  // a question of the moment
  }

  /// Arms it, or tells of a target that has ended.
  static void arm(const std::shared_ptr<DownMessage>& message, ServerCore& observer);

 protected:
  [[nodiscard]] const Down& down() const noexcept { return down_; }

 private:
  enum class Phase { armed, sent, over };

  /// Cancels the monitor when the observer itself ends, so that targets do not collect them.
  struct Observer final : ExitWatcher {
    std::weak_ptr<DownMessage> message{};
    void on_exit(const ExitedServer&) noexcept override {
      if (const auto its = message.lock()) its->cancel();
    }
  };

  virtual void tell(void* state) = 0;

  bool change(Phase from, Phase to) noexcept {
    // Relaxed: the mailbox publishes what belongs to it.
    return phase_.compare_exchange_strong(from, to, std::memory_order_relaxed);
  }
  void release() noexcept;

  Down down_;  // the reason is written before it is sent
  const std::weak_ptr<ServerCore> observer_;
  const std::shared_ptr<Observer> end_of_observer_ = std::make_shared<Observer>();
  std::atomic<Phase> phase_{Phase::armed};
  std::shared_ptr<DownMessage> self_{};  // while it is in the mailbox
};

template <class State, class OnDown>
class DownMessageFor final : public DownMessage {
 public:
  DownMessageFor(AnyRef target, std::weak_ptr<ServerCore> observer, OnDown&& on_down,
                 const CallSite& site)
      : DownMessage{std::move(target), std::move(observer), site}, on_down_(std::move(on_down)) {}

 private:
  void tell(void* state) override {
    running_server().begin_handler();
    if constexpr (std::invocable<OnDown&, State&, const Down&>) {
      std::invoke(on_down_, *static_cast<State*>(state), down());
    } else {
      std::invoke(on_down_, down());
    }
    running_server().end_handler();
  }

  OnDown on_down_;
};

/// What one may do with a monitor. Dropping it leaves the monitor in force.
///
/// Threads: any. Erlang: the reference of erlang:monitor/2.
class Monitor {
 public:
  Monitor() noexcept = default;
  explicit Monitor(const std::shared_ptr<DownMessage>& message) noexcept : message_{message} {}

  /// Sees to it that no Down comes from it any more; one whose handler runs right now, on another
  /// thread, is the last. Returns false if it has come already.
  ///
  /// Erlang: erlang:demonitor(Ref, [flush]).
  bool cancel() noexcept {
    const auto message = message_.lock();
    return message != nullptr && message->cancel();
  }
  /// Returns whether a Down may still come.
  [[nodiscard]] bool is_active() const noexcept {
    const auto message = message_.lock();
    return message != nullptr && message->is_active();
  }

 private:
  std::weak_ptr<DownMessage> message_{};
};

inline void DownMessage::arm(const std::shared_ptr<DownMessage>& message, ServerCore& observer) {
  message->end_of_observer_->message = message;
  ServerEnd& target = message->down_.who.shared_core()->end();
  // First the observer's end: it takes back what comes after.
  if (!observer.end().watchers().add(message->end_of_observer_)) {
    observer.raise(observer.end().refusal(), WaitKind::call, message->site());
  }
  if (!target.watchers().add(message)) {
    message->send(ExitReason::no_server());
  } else if (!message->is_active()) {  // the observer has ended in between
    target.watchers().remove(*message);
  }
}

inline void DownMessage::send(const ExitReason& reason) noexcept {
  const auto observer = observer_.lock();
  if (observer == nullptr) return;
  observer->end().watchers().remove(*end_of_observer_);
  down_.reason = reason;
  self_ = shared_from_this();
  if (!change(Phase::armed, Phase::sent) || !observer->post(*this)) self_.reset();
}

inline bool DownMessage::cancel() noexcept {
  if (change(Phase::armed, Phase::over)) {
    const std::shared_ptr<ServerCore> target = down_.who.shared_core();
    const auto self = shared_from_this();  // the lists let it go
    target->end().watchers().remove(*this);
    if (const auto observer = observer_.lock()) {
      observer->end().watchers().remove(*end_of_observer_);
    }
    return true;
  }
  return change(Phase::sent, Phase::over);
}

inline void DownMessage::release() noexcept { const auto last = std::move(self_); }

template <class State>
template <class OnDown>
Monitor ServerRef<State>::monitor(const AnyRef& target, OnDown on_down, CallSite site) const {
  static_assert(OnDownOf<OnDown, State>,
                "genserver: on_down must take (State&, const Down&) or (const Down&)");
  ServerCore& observer = checked(on_down, site);
  static_cast<void>(target.callee());  // refuses an empty reference
  const auto message = std::make_shared<DownMessageFor<State, OnDown>>(
      target, this->shared_core(), std::move(on_down), site);
  DownMessage::arm(message, observer);
  return Monitor{message};
}

template <class State>
Monitor ServerRef<State>::monitor(const AnyRef& target, CallSite site) const {
  static_assert(requires(State& state, const Down& down) { state.handle_info(down); },
                "genserver: a monitor without a function is for a State that has "
                "handle_info(const Down&)");
  return monitor(
      target, [](State& state, const Down& down) { state.handle_info(down); }, site);
}

}  // namespace genserver::v0
