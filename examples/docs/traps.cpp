// What goes wrong easily, done right.
// Longer than other examples, since the page traps.md quotes its parts.
#include <genserver/genserver.hpp>

#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using genserver::GenServer;

struct Orders {
  std::map<std::string, int> count{};
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, number] : count) all.push_back(name);
    return all;
  }
};

// Casts, timed and asynchronous calls run when the caller has left: they own what they use.
void own_what_is_used(const GenServer<Orders>& orders) {
  std::string item = "tea";
  orders.cast([item](Orders& o) { ++o.count[item]; });
  orders.call([&](Orders& o) { ++o.count[item]; });  // an untimed call may refer to it
}

// A handler that owns something that cannot be copied is moved into the mailbox.
void move_what_cannot_be_copied(const GenServer<Orders>& orders) {
  auto item = std::make_unique<std::string>("milk");
  auto handler = [item = std::move(item)](Orders& o) { ++o.count[*item]; };
  orders.cast(std::move(handler));
}

// Between two calls others come; what belongs together is one handler.
bool take_last(const GenServer<Orders>& orders, const std::string& item) {
  return orders.call([&](Orders& o) {
    const auto found = o.count.find(item);
    if (found == o.count.end()) return false;
    if (--found->second == 0) o.count.erase(found);
    return true;
  });
}

// What takes long is done outside, and the result is sent back; the server stays responsive.
void ask_slowly(const GenServer<Orders>& orders, const GenServer<int>& warehouse) {
  warehouse.cast([to = orders.ref()](int& stock) {
    to.cast([left = stock](Orders& o) { o.count["sugar"] = left; });
  });
  warehouse.call([] {});
}

// A timed call that was running may have changed something; one that was queued has not.
std::optional<bool> is_known(const GenServer<Orders>& orders, const std::string& item) {
  try {
    return orders.call_for(5s, [item](const Orders& o) { return o.count.contains(item); });
  } catch (const genserver::CallTimeout& timeout) {
    std::fprintf(stderr, "%s\n", timeout.what());
    return std::nullopt;
  }
}

int main() {
  GenServer<Orders> orders{{.name = "orders"}};
  GenServer<int> warehouse{{.name = "warehouse"}, 7};
  own_what_is_used(orders);
  move_what_cannot_be_copied(orders);
  ask_slowly(orders, warehouse);
  std::printf("milk: %s\n", take_last(orders, "milk") ? "taken" : "none");
  std::printf("tea: %s\n", is_known(orders, "tea").value_or(false) ? "known" : "unknown");
  for (const auto& name : orders.call(&Orders::names)) std::printf("%s\n", name.c_str());
}

// Output:
// milk: taken
// tea: known
// sugar
// tea
