// An account that others use, watch and restart: the program of the guide.
// Longer than other examples, since the page guide.md quotes its parts.
#include <genserver/genserver.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

struct Ledger {
  explicit Ledger(int first) : balance{first} {}  // runs on the server's thread
  void terminate(const genserver::ExitReason& reason) {
    std::printf("ledger: closed, %s\n", reason.what().c_str());
  }
  int balance;
  std::vector<int> bookings{};
};

class Account : public genserver::GenServer<Ledger> {
 public:
  explicit Account(int first) : GenServer({.name = "account"}, first) {}

  void deposit(int amount) {
    cast([amount](Ledger& ledger) { ledger.bookings.push_back(ledger.balance += amount); });
  }
  int withdraw(int amount) {
    return call([&](Ledger& ledger) {
      if (amount > ledger.balance) throw std::domain_error{"not enough money"};
      return ledger.balance -= amount;
    });
  }
  int balance_within(std::chrono::milliseconds time) {
    return call_for(time, [](const Ledger& ledger) { return ledger.balance; });
  }
  void break_down() {
    cast([](Ledger&) { throw std::runtime_error{"the disk is full"}; });
  }
};

void use(Account& account) {
  account.deposit(50);
  std::printf("left: %d\n", account.withdraw(30));  // after the deposit: one thread, one order
  try {
    account.withdraw(1000);
  } catch (const std::domain_error& error) {
    std::printf("refused: %s\n", error.what());  // the server lives on
  }
  std::printf("balance: %d\n", account.balance_within(10s));
}

void watch() {
  genserver::GenServer<int> auditor{{.name = "auditor"}, 0};
  genserver::ServerRef<Ledger> closed;
  {
    Account account{100};
    closed = account.ref();
    auditor.monitor(closed, [](int& ended, const genserver::Down& down) {
      ++ended;
      std::printf("auditor: %s has ended, %s\n", down.name.c_str(), down.reason.what().c_str());
    });
    use(account);
  }  // handles what was sent, and waits for the end
  const int ended = auditor.call([](int& count) { return count; });
  std::printf("ended: %d, a cast is taken: %s\n", ended, closed.cast([] {}) ? "yes" : "no");
}

void supervise() {
  genserver::set_report_sink([](const genserver::Report& report) {  // by default: stderr
    std::printf("report: %s, %s\n", to_string(report.kind), report.reason.what().c_str());
  });
  genserver::Supervisor bank{{.name = "bank", .max_restarts = 3, .within = 5s}};
  const auto account = bank.start_child<Account>({.id = "account"}, 100);

  account->deposit(5);
  const genserver::AnyRef before = account.ref();
  account->break_down();
  before.wait();
  account.wait_until_running(10s);
  std::printf("started again with %d\n", account->balance_within(10s));
}

int main() {
  watch();
  supervise();
}

// Output:
// left: 120
// refused: not enough money
// balance: 120
// ledger: closed, normal
// auditor: account has ended, normal
// ended: 1, a cast is taken: no
// ledger: closed, exception: the disk is full
// report: crash, exception: the disk is full
// started again with 100
// ledger: closed, shutdown
