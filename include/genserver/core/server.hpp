// SPDX-License-Identifier: BSL-1.0
// One server with its State.
#pragma once

#include <genserver/base/handler.hpp>
#include <genserver/core/exit_signal.hpp>
#include <genserver/core/server_core.hpp>

#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

/// A State whose `terminate` looks as if it were meant for the server's end.
template <class State>
concept HasOtherTerminate =
    requires(State& state) { state.terminate(); } ||
    requires(State& state, ExitReason& reason) { state.terminate(reason); } ||
    requires(State& state, ExitReason& reason) { state.terminate(std::move(reason)); };

/// A State that can be made from these arguments, in parentheses or, an aggregate, in braces.
template <class State, class... Args>
concept MadeFrom = std::is_constructible_v<State, Args...> ||
                   requires(Args&&... args) { State{std::forward<Args>(args)...}; };

/// Holds the State, which is made, used and destroyed by the server's thread.
template <class State>
class Server final : public ServerCore {
 public:
  explicit Server(const Options& options) : ServerCore{options, std::addressof(state_)} {}
  ~Server() override {}

  /// Starts the thread and makes the State there, from references to `args`.
  ///
  /// Blocks: until the State is made. Throws: StartFailed; what State's constructor throws.
  template <class... Args>
  void start(Args&&... args);

  [[nodiscard]] const void* state_type() const noexcept override { return type(); }
  [[nodiscard]] std::shared_ptr<ExitMessage> make_exit_message() override {
    if constexpr (TrapsExits<State>) {
      return std::make_shared<ExitMessageFor<State>>();
    } else {
      return nullptr;
    }
  }

  [[gnu::visibility("default")]] static const void* type() noexcept {
    static constexpr char own = 0;
    return &own;
  }

 private:
  void terminate_state([[maybe_unused]] const ExitReason& reason) override {
    if constexpr (requires(State& state) { state.terminate(reason); }) {
      state_.terminate(reason);
    } else {
      static_assert(!HasOtherTerminate<State>,
                    "genserver: State::terminate has to take const ExitReason&, else the server "
                    "does not call it at its end; what means something else needs another name");
    }
  }
  void destroy_state() noexcept override { state_.~State(); }

  union {  // alive from make to destroy_state(), which ServerCore keeps account of
    State state_;
  };
};

template <class State>
template <class... Args>
void Server<State>::start(Args&&... args) {
  static_assert(MadeFrom<State, Args...>,
                "genserver: State cannot be made from the arguments that follow the options, "
                "neither in parentheses nor, as an aggregate, in braces");
  auto make = [&] {
    if constexpr (std::is_constructible_v<State, Args...>) {
      ::new (state()) State(std::forward<Args>(args)...);
    } else if constexpr (MadeFrom<State, Args...>) {
      ::new (state()) State{std::forward<Args>(args)...};  // an aggregate
    }
  };
  ServerCore::start([](void* context) { (*static_cast<decltype(make)*>(context))(); }, &make);
}

}  // namespace genserver::v0
