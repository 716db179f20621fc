// A program that is slow, seen from inside: what each server does, and a picture of who waits.
#include <genserver/genserver.hpp>

#include <csignal>
#include <cstdio>
#include <future>

using genserver::GenServer;

struct Disk {
  [[gnu::noinline]] const char* read(std::future<void> motor) {
    motor.wait();  // it takes its time
    return "42 orders";
  }
};

int main() {
  genserver::dump_on_signal(SIGQUIT);  // Ctrl-\ prints all of this with all stacks at any time
  GenServer<Disk> disk{{.name = "disk"}};
  GenServer<int> report{{.name = "report"}, 0};

  std::promise<void> called;
  std::promise<void> motor;
  auto text = report.async_call([&] {
    return disk.call([&](Disk& state) {
      called.set_value();
      return state.read(motor.get_future());
    });
  });
  called.get_future().wait();

  const genserver::Snapshot servers = genserver::snapshot();
  std::fputs(to_text(servers).c_str(), stdout);
  std::fputs(to_dot(servers).c_str(), stdout);  // for Graphviz: dot -Tsvg

  motor.set_value();
  std::printf("the report: %s\n", text.get());
}

// Output:
// 2 servers
//   disk:1 is running for ...
//     handles what was sent by report:2 at watching.cpp:25 in operator()
// ...
//   report:2 is waiting for ...
// ...
//     report:2 waits for disk:1...
// ...
// digraph servers {
//   node [shape=box]
//   1 [label="disk:1\nrunning, 0 of 4096"]
//   2 [label="report:2\nwaiting, 0 of 4096"]
//   2 -> 1 [label="call at watching.cpp:25 in operator()"]
// }
// the report: 42 orders
