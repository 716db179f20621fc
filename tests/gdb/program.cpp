// SPDX-License-Identifier: BSL-1.0
// Servers of every kind, for the debugger to look at.
#include <genserver/genserver.hpp>

#include <memory>
#include <string>
#include <utility>

using genserver::AnyRef;
using genserver::ExitReason;
using genserver::GenServer;
using genserver::Reply;
using genserver::ServerRef;

namespace {

struct Shelf {
  int cups = 5;
  Reply<int> buyer{};
};

struct Seen {
  const GenServer<Shelf>& stock;
  const Reply<int>& reply;
  ServerRef<int> journal;
  AnyRef ended;
  AnyRef empty{};
  ExitReason reason = ExitReason::shutdown("sold out");
  genserver::CallSite site = genserver::CallSite::here();
};

}  // namespace

// The debugger stops here, and looks at its caller's variables.
[[gnu::noinline]] void stop_here() {
  static volatile int stops = 0;
  stops = stops + 1;
}

int main() {
  GenServer<Shelf> stock{{.name = "stock"}};
  GenServer<int> orders{{.name = "orders"}, 0};
  GenServer<int> journal{{.name = "journal", .mailbox_capacity = 16}, 42};
  auto closed = std::make_unique<GenServer<std::string>>(genserver::Options{.name = "closed"});
  const AnyRef ended = closed->ref();
  closed->stop(ExitReason::shutdown("sold out"));
  GenServer<int> idle{{.name = "idle"}, 0};

  journal.suspend();
  for (int line = 0; line < 3; ++line) journal.cast([](int& lines) { ++lines; });
  const auto parked = stock.async_call<int>([](Shelf& shelf, Reply<int> reply) {
    shelf.buyer = std::move(reply);
  });
  stock.call([] {});  // so that the reply is parked
  orders.call([&] {
    stock.call([&](Shelf& shelf) {
      const Seen seen{stock, shelf.buyer, journal.ref(), ended};
      stop_here();
      static_cast<void>(seen);
    });
  });
  stock.cast([](Shelf& shelf) { shelf.buyer = {}; });
  journal.resume();
}
