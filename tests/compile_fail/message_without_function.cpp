// SPDX-License-Identifier: BSL-1.0
// State needs a function for a message, and each way of sending has its own.
#include <genserver/genserver.hpp>

#include <chrono>
#include <memory>

struct Balance {};
struct Deposit {
  int amount;
};
struct Rain {};
struct Unknown {};
struct Secret {};
struct Form {};
struct Coin {
  std::unique_ptr<int> value{};
};

class Account {
 public:
  int handle_call(Balance) const { return balance_; }
  void handle_cast(Deposit deposit) { balance_ += deposit.amount; }
  void handle_cast(Coin) {}
  void handle_info(Rain) {}
  int handle_call(Form&) { return 0; }

 private:
  int handle_call(Secret) { return 0; }
  int balance_ = 0;
};

void use(genserver::GenServer<Account>& account) {
  account.call(Balance{});
  account.cast(Deposit{5});
  account.send(Rain{});
  account.cast_after(std::chrono::seconds{1}, Coin{});
#ifdef GENSERVER_MUST_FAIL
  account.call(Unknown{});
  account.call(Secret{});
  account.call(Deposit{5});
  account.call(Form{});
  account.async_call(Rain{});
  account.cast(Unknown{});
  account.cast(Balance{});
  account.try_cast(Rain{});
  account.send(Deposit{5});
  account.send([](Account&) {});
  account.cast_every(std::chrono::seconds{1}, Coin{});
#endif
}

// only error: or a message for which State has a public handle_call
// only error: or a message for which State has a public handle_call
// only error: to be called, State needs a handle_call that returns the answer
// only error: let it take the message by value or by const reference
// only error: to be called, State needs a handle_call that returns the answer
// only error: or a message for which State has a public handle_cast
// only error: to be cast to, State needs a handle_cast
// only error: to be cast to, State needs a handle_cast
// only error: what is sent is a message for which State has a public handle_info
// only error: send() is for messages
// only error: a message that is cast again and again is copied each time
