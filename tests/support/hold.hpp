// SPDX-License-Identifier: BSL-1.0
// Keeps a server busy for as long as a test likes.
#pragma once

#include <support/gate.hpp>

#include <memory>

/// Runs a handler on `server` that does not return before let_go() or the end of the scope.
class Hold {
 public:
  template <class Server>
  explicit Hold(const Server& server) {
    server.cast([gates = gates_] {
      gates->entered.open();
      gates->left.wait();
    });
    gates_->entered.wait();
  }
  ~Hold() { let_go(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  void let_go() { gates_->left.open(); }

 private:
  struct Gates {
    Gate entered{};
    Gate left{};
  };
  std::shared_ptr<Gates> gates_ = std::make_shared<Gates>();
};
