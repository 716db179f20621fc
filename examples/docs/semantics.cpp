// The rules of the library, each shown by what it prints.
// Longer than other examples, since the page semantics.md quotes its parts.
#include <genserver/genserver.hpp>

#include <chrono>
#include <cstdio>
#include <future>
#include <stdexcept>
#include <string>
#include <utility>

using namespace std::chrono_literals;
using genserver::GenServer;

void order() {
  GenServer<std::string> text{};
  text.cast([](std::string& s) { s += "cast "; });
  auto later = text.async_call([](std::string& s) { s += "async "; });
  text.call_for(10s, [](std::string& s) { s += "timed "; });
  std::printf("order: %s\n", text.call([](std::string& s) { return s + "call"; }).c_str());
}

void exceptions() {
  genserver::set_report_sink([](const genserver::Report&) {});
  GenServer<int> server{{.name = "server"}, 1};
  try {
    server.call([](int&) { throw std::out_of_range{"no such row"}; });
  } catch (const std::out_of_range& error) {
    std::printf("a call's exception: %s, alive: %d\n", error.what(), server.is_alive());
  }
  server.cast([](int&) { throw std::runtime_error{"nobody receives this"}; });
  try {
    server.call([](int& n) { return n; });
  } catch (const genserver::ServerGone& gone) {
    std::printf("a cast's exception: %s\n", gone.reason().what().c_str());
  }
}

void timeouts() {
  GenServer<int> server{{}, 0};
  std::promise<void> go_on;
  server.cast([&] { go_on.get_future().wait(); });  // keeps the server busy
  try {
    server.call_for(1ms, [](int& n) { ++n; });
  } catch (const genserver::CallTimeout& timeout) {
    std::printf("a timed-out call was %s, ", to_string(timeout.phase()));
  }
  go_on.set_value();
  std::printf("and has run %d times\n", server.call([](int& n) { return n; }));
}

class Clock : public GenServer<int> {
 public:
  explicit Clock(std::string label) : GenServer({}, 0), label_{std::move(label)} {}
  void tick() {
    cast([this](int& n) { std::printf("%s %d\n", label_.c_str(), ++n); });
  }

 private:
  std::string label_;  // a handler uses it, so it has to outlive the server
};

class Bell : public GenServer<int> {
 public:
  ~Bell() override { stop(); }  // first of all: `this` is whole until no handler runs any more
  void ring() {
    cast([this](int& n) { std::printf("ring %d\n", n += step_); });
  }

 private:
  int step_ = 1;
};

void destruction() {
  {
    const auto clock = genserver::start<Clock>("tick");  // stops before label_ goes
    clock->tick();
  }
  Bell bell;
  bell.ring();
}

void self_calls() {
  GenServer<int> server{{}, 1};
  const auto ref = server.ref();
  const int n = server.call([ref](int& state) {
    state = 5;
    return ref.call([](int& same) { return same; });  // runs here and now
  });
  std::printf("a call to itself sees %d\n", n);
  try {
    server.call([ref](int&) { ref.stop(); });
  } catch (const genserver::SelfWait&) {
    std::puts("a server cannot wait for its own end");
  }
}

int main() {
  order();
  exceptions();
  timeouts();
  destruction();
  self_calls();
}

// Output:
// order: cast async timed call
// a call's exception: no such row, alive: 1
// a cast's exception: exception: nobody receives this
// a timed-out call was queued, and has run 0 times
// tick 1
// ring 1
// a call to itself sees 5
// a server cannot wait for its own end
