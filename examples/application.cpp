// A program that ends in order when it is asked to: Ctrl-C, `kill`, or what its servers say.
#include <genserver/genserver.hpp>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

using genserver::Child;
using genserver::GenServer;

struct Orders {  // starts first and stops last, so that it gets what the shop still has
  void terminate(const genserver::ExitReason&) {
    std::printf("orders: %zu are saved\n", lines.size());
  }
  std::vector<std::string> lines{};
};

struct Shop {
  explicit Shop(Child<GenServer<Orders>> to) : orders{std::move(to)} {}
  void terminate(const genserver::ExitReason&) {
    std::printf("shop: closes, with %zu in the basket\n", basket.size());
    for (const std::string& line : basket) {
      orders->cast([line](Orders& kept) { kept.lines.push_back(line); });
    }
  }
  Child<GenServer<Orders>> orders;
  std::vector<std::string> basket{};
};

int main() {
  genserver::Application application{{.name = "shop", .shutdown = std::chrono::seconds{5}}};
  genserver::Supervisor tree{{.strategy = genserver::Strategy::rest_for_one}};

  const auto orders = tree.start_child<GenServer<Orders>>(
      {.id = "orders", .stop_by = genserver::StopBy::last_message});
  const auto shop = tree.start_child<GenServer<Shop>>({.id = "shop"}, genserver::Options{}, orders);

  shop->cast([](Shop& state) {
    state.basket = {"one kettle", "two cups"};
    std::raise(SIGTERM);  // as if somebody had called `kill`
  });

  const int status = application.run(tree);
  std::printf("the tree has ended: %s, status %d\n", tree.exit_reason()->what().c_str(), status);
  return status;
}

// Output:
// shop: closes, with 2 in the basket
// orders: 2 are saved
// the tree has ended: shutdown: SIGTERM, status 0
