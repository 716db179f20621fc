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

namespace genserver {

/// Holds the State, which is made, used and destroyed by the server's thread.
template <class State>
class Server final : public ServerCore {
 public:
  explicit Server(const Options& options) : ServerCore{options} {}
  ~Server() override {}

  /// Starts the thread and makes the State there, from references to `args`.
  ///
  /// Blocks: until the State is made. Throws: StartFailed; what State's constructor throws.
  template <class... Args>
  void start(Args&&... args);

  [[nodiscard]] const void* state_type() const noexcept override { return type(); }
  [[nodiscard]] void* state() noexcept override { return std::addressof(state_); }
  [[nodiscard]] std::shared_ptr<ExitMessage> make_exit_message() override {
    if constexpr (TrapsExits<State>) {
      return std::make_shared<ExitMessageFor<State>>();
    } else {
      return nullptr;
    }
  }

  static const void* type() noexcept {
    static constexpr char own = 0;
    return &own;
  }

 private:
  void terminate_state([[maybe_unused]] const ExitReason& reason) override {
    if constexpr (requires(State& state) { state.terminate(reason); }) state_.terminate(reason);
  }
  void destroy_state() noexcept override { state_.~State(); }

  union {  // alive from make to destroy_state(), which ServerCore keeps account of
    State state_;
  };
};

template <class State>
template <class... Args>
void Server<State>::start(Args&&... args) {
  auto make = [&] {
    if constexpr (std::is_constructible_v<State, Args...>) {
      ::new (state()) State(std::forward<Args>(args)...);
    } else {
      ::new (state()) State{std::forward<Args>(args)...};  // an aggregate
    }
  };
  ServerCore::start([](void* context) { (*static_cast<decltype(make)*>(context))(); }, &make);
}

}  // namespace genserver
