// SPDX-License-Identifier: BSL-1.0
// The library itself as a peer, in both ways to run calls.
#pragma once

#include <genserver/genserver.hpp>

#include <utility>

namespace bench {

template <::genserver::RunCalls run_calls = ::genserver::RunCalls::on_server_thread>
struct Genserver {
  static constexpr bool runs_here = run_calls == ::genserver::RunCalls::on_caller_when_idle;
  static constexpr const char* name = runs_here ? "genserver_caller" : "genserver";
  static constexpr bool is_queued = true;

  template <class State>
  class Server : public ::genserver::GenServer<State> {
   public:
    template <class... Args>
    explicit Server(Args&&... args)
        : ::genserver::GenServer<State>{{.run_calls = run_calls}, std::forward<Args>(args)...} {}
  };
};

}  // namespace bench
