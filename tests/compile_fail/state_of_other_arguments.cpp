// SPDX-License-Identifier: BSL-1.0
// State is made from the arguments after the options.
#include <genserver/genserver.hpp>

#include <string>

struct Account {
  Account(std::string name, int cents) : owner{std::move(name)}, balance{cents} {}
  std::string owner;
  int balance;
};
struct Point {
  int x;
  int y;
};

void use() {
  genserver::GenServer<Account> account{{.name = "account"}, "Ann", 5};
  genserver::GenServer<Point> point{{.name = "point"}, 1, 2};
#ifdef GENSERVER_MUST_FAIL
  genserver::GenServer<Account> nobody{{.name = "nobody's"}};
#endif
}

// only error: State cannot be made from the arguments that follow the options
