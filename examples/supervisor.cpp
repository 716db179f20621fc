// A flaky device: its connection is restarted when it crashes, until that happens too often.
#include <genserver/genserver.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>

using namespace std::chrono_literals;

class Device {  // the third reading fails, and the fifth
 public:
  int read() {
    if (++readings_ % 2 == 1 && readings_ > 1) throw std::runtime_error{"the line is dead"};
    return 20 + readings_;
  }

 private:
  int readings_ = 0;
};

class Connection : public genserver::GenServer<Device*> {
 public:
  explicit Connection(Device* device)
      : GenServer({.name = "connection", .on_exception = genserver::OnException::crash}, device) {}
  int temperature() {
    return call([](Device* device) { return device->read(); });
  }
};

int main() {
  Device device;
  genserver::Supervisor supervisor{{.name = "devices", .max_restarts = 1, .within = 1h}};
  const auto connection = supervisor.start_child<Connection>({.id = "connection"}, &device);

  while (connection.wait_until_running(10s)) {  // false when it will never be back
    try {
      std::printf("%d degrees\n", connection->temperature());
    } catch (const genserver::ServerGone& gone) {
      std::printf("no answer, %s\n", gone.reason().what().c_str());
    }
  }
  std::printf("the supervisor has given up: %s\n", supervisor.has_given_up() ? "yes" : "no");
}

// Output:
// genserver: connection:2 ended: exception: the line is dead
// ...
// genserver: child "connection" of devices:1: exception: the line is dead
// ...
//   that is more than max_restarts: the supervisor ends
// 21 degrees
// 22 degrees
// no answer, exception: the line is dead
// 24 degrees
// no answer, exception: the line is dead
// the supervisor has given up: yes
