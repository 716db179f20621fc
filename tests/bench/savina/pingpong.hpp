// SPDX-License-Identifier: BSL-1.0
// Ping and pong: two servers that take turns.
#pragma once

#include <bench/savina/benchmark.hpp>

namespace savina {

/// 40 000 times, ping asks pong, pong answers, and ping tells itself to go on.
///
/// On the way: one message.
template <class Peer>
class PingPong {
 public:
  static constexpr const char* name = "savina.pingpong";

  explicit PingPong(const Run& run) : pings_{run.scaled(40'000)} {}

  void run() {
    Finish finish;
    Server<Pong> pong;
    Server<Ping> ping{Ping{.pong = &pong, .finish = &finish, .left = pings_}};
    ping.cast([self = &ping](Ping& state) { state.send(self); });
    finish.wait();
    answered_ = pong.call([](Pong& state) { return state.answered; });
    left_ = ping.call([](Ping& state) { return state.left; });
  }

  void check() const {
    expect<Count>("pings that pong answered", pings_, answered_);
    expect<Count>("pings left", 0, left_);
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;

  struct Pong;

  struct Ping {
    void send(Server<Ping>* self) {
      --left;
      pong->cast([self](Pong& state) { state.answer(self); });
    }
    void receive(Server<Ping>* self) {
      if (left == 0) return finish->signal();
      self->cast([self](Ping& state) { state.send(self); });
    }

    Server<Pong>* pong;
    Finish* finish;
    Count left;
  };

  struct Pong {
    void answer(Server<Ping>* ping) {
      ++answered;
      ping->cast([ping](Ping& state) { state.receive(ping); });
    }

    Count answered = 0;
  };

  const Count pings_;
  Count answered_ = 0;
  Count left_ = 0;
};

}  // namespace savina
