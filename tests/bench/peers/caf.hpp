// SPDX-License-Identifier: BSL-1.0
// Servers made of actors of the C++ Actor Framework.
#pragma once

#include <bench/peers/promised.hpp>

#include <caf/all.hpp>

#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace bench {

/// What is sent to a server: a function of its state.
template <class State>
struct CafWork {
  std::function<void(State&)> run;
};

}  // namespace bench

template <class State>
struct caf::allowed_unsafe_message_type<bench::CafWork<State>> : std::true_type {};

namespace bench {

/// Actors that CAF's scheduler runs, or, detached, each with a thread of its own.
template <bool is_detached = false>
struct Caf {
  static constexpr const char* name = is_detached ? "caf_detached" : "caf";
  static constexpr bool is_queued = true;

  /// Never destroyed, nor are its clients: a thread may end later than what is static.
  static caf::actor_system& system() {
    static auto& config = *new caf::actor_system_config;
    static auto& actors = *new caf::actor_system{config};
    return actors;
  }

  /// What a thread asks with that is no actor itself; made once for each.
  static caf::scoped_actor& client() {
    thread_local auto& actor = *new caf::scoped_actor{system()};
    return actor;
  }

  template <class State>
  class Server {
   public:
    template <class... Args>
    explicit Server(Args&&... args)
        : actor_{started(std::make_shared<State>(std::forward<Args>(args)...))} {}

    ~Server() {
      client()->send(actor_, Stop::value);
      client()->wait_for(actor_);
    }

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    template <class Handler>
    auto call(Handler&& handler) {
      std::promise<ResultOf<Handler, State>> promise;
      auto result = promise.get_future();
      client()
          ->request(actor_, caf::infinite, Work{[&](State& state) {
                      keep_promise(promise, handler, state);
                    }})
          .receive([] {}, [](const caf::error& error) {
            throw std::runtime_error{"caf: " + caf::to_string(error)};
          });
      return result.get();
    }

    template <class Handler>
    void cast(Handler handler) {
      caf::anon_send(actor_, Work{std::move(handler)});
    }

   private:
    using Work = CafWork<State>;
    using Stop = caf::atom_constant<caf::atom("stop")>;

    static caf::actor started(std::shared_ptr<State> state) {
      const auto server = [state = std::move(state)](caf::event_based_actor* self) {
        return caf::behavior{[state](const Work& work) { work.run(*state); },
                             [self](Stop) { self->quit(); }};
      };
      if constexpr (is_detached) {
        return system().spawn<caf::detached>(server);
      } else {
        return system().spawn(server);
      }
    }

    caf::actor actor_;
  };
};

}  // namespace bench
