// SPDX-License-Identifier: BSL-1.0
// A little of everything that the library offers, for compilers that run no other test.
#include <iomanip>  // std::quoted() may not be taken for ours

#include <genserver/genserver.hpp>

#include <any>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

namespace {

int failures = 0;

void check(bool is_so, const char* what) {
  if (is_so) return;
  std::printf("not so: %s\n", what);
  ++failures;
}

class Counter : public genserver::GenServer<int> {
 public:
  explicit Counter(int first = 0) : GenServer({.name = "counter"}, first) {}
  int increment() {
    return call([](int& n) { return ++n; });
  }
};

class Sum : public genserver::Behaviour {
 public:
  std::any handle(std::string_view method, std::uint64_t, const std::any& body) override {
    if (method != "add") throw std::invalid_argument{"a sum can only add"};
    return sum_ += std::any_cast<int>(body);
  }

 private:
  int sum_ = 0;
};

void use_one_server() {
  Counter counter{39};
  counter.cast([](int& n) { ++n; });
  check(counter.increment() == 41, "a call sees what an earlier cast did");
  check(counter.async_call([](int& n) { return n; }).get() == 41, "a future gets its answer");
  const genserver::Timer timer = counter.cast_after(1h, [](int& n) { n = 0; });
  check(timer.is_active(), "a timer waits for its time");
  const auto later = [](int& n, genserver::Reply<int> reply) { reply.reply(n + 1); };
  check(counter.call<int>(later) == 42, "a reply may come later");
  check(!genserver::to_json(genserver::snapshot()).empty(), "a snapshot can be told as JSON");
}

void find_deadlock() {
  std::string report;  // outlives the servers
  genserver::set_report_sink([&](const genserver::Report& told) { report = told.text(); });
  {
    Counter first;
    Counter second;
    const auto call_first = [&] { return first.increment(); };
    const auto call_second = [&] { return second.call(call_first); };
    try {
      first.call(call_second);
    } catch (const genserver::Deadlock& deadlock) {
      check(deadlock.cycle().size() == 2, "a circle is found as it closes");
    }
  }
  genserver::set_report_sink(nullptr);
  check(report.find("deadlock of 2 servers") != std::string::npos, "and is reported");
}

void use_many_servers() {
  genserver::Supervisor supervisor{{.name = "root"}};
  const auto child = supervisor.start_child<Counter>({.id = "child"}, 6);
  check(child->increment() == 7, "a child is called");
  check(supervisor.count_children().active == 1, "its supervisor counts it");

  genserver::Registry<int> names;
  Counter counter;
  names.register_name("counter", counter);
  check(names.whereis("counter") == counter.ref(), "a name leads to its server");

  genserver::GenServer<bool> watcher{{}, false};
  watcher.monitor(counter, [](bool& is_down, const genserver::Down&) { is_down = true; });
  counter.stop();
  check(watcher.call([](bool& is_down) { return is_down; }), "an end is told");
}

void use_services() {
  genserver::Runner runner{{}};
  const genserver::Service service{"service", [](genserver::ServiceContext& context) {
    context.ready();
    while (!context.sleep_for(1h)) continue;
  }};
  runner.start(service);
  runner.halt(service);
  check(runner.state(service) == genserver::ServiceState::halted, "a service halts");

  const auto sum = genserver::listen<Sum>();
  check(sum.call<int>("add", 42) == 42, "a method is found by its name");
}

}  // namespace

int main() {
  use_one_server();
  find_deadlock();
  use_many_servers();
  use_services();
  return failures;
}
