// From a class with a mutex to a server: the same interface, so its users stay as they are.
#include <genserver/genserver.hpp>

#include <cstdio>
#include <mutex>

namespace before {
class Account {
 public:
  void deposit(int amount) {
    const std::scoped_lock lock{mutex_};
    balance_ += amount;
  }
  bool withdraw(int amount) {
    const std::scoped_lock lock{mutex_};
    const bool is_enough = balance_ >= amount;
    if (is_enough) balance_ -= amount;
    return is_enough;
  }
 private:
  std::mutex mutex_{};
  int balance_ = 0;  // guarded by mutex_, if nobody forgets
};
}  // namespace before

namespace after {
// What was guarded is the state, reached in handlers only. What has no result may be a cast.
class Account : public genserver::GenServer<int> {
 public:
  Account() : GenServer({.name = "account"}, 0) {}
  void deposit(int amount) { cast([=](int& balance) { balance += amount; }); }
  bool withdraw(int amount) {
    return call([&](int& balance) {
      const bool is_enough = balance >= amount;
      if (is_enough) balance -= amount;
      return is_enough;
    });
  }
};
}  // namespace after

template <class Account>
void shop() {
  Account account;
  account.deposit(100);
  for (const int price : {70, 50}) {
    std::printf("%d %s\n", price, account.withdraw(price) ? "paid" : "refused");
  }
}

int main() {
  shop<before::Account>();
  shop<after::Account>();
}

// Output:
// 70 paid
// 50 refused
// 70 paid
// 50 refused
