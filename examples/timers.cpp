// A server that does things later, and again and again; it needs no thread for that.
#include <genserver/genserver.hpp>

#include <chrono>
#include <cstdio>
#include <thread>

using namespace std::chrono_literals;

struct Oven {
  int degrees = 20;
  bool is_on = true;
};

int main() {
  genserver::GenServer<Oven> oven{{.name = "oven"}};

  // Every 5 ms, from 5 ms on. The handler runs on the server's thread as all others.
  genserver::Timer heating = oven.cast_every(5ms, [](Oven& o) { o.degrees += o.is_on ? 20 : 0; });

  // Once. Dropping a Timer leaves it as it is.
  oven.cast_after(10s, [](Oven& o) { o.is_on = false; });
  genserver::Timer alarm = oven.cast_after(1h, [](Oven&) { std::puts("it burns"); });

  const int degrees = oven.call_when([](const Oven& o) { return o.degrees >= 100; },
                                     [](Oven& o) { return o.degrees; });
  std::printf("it is hot: %d degrees\n", degrees);

  heating.cancel();  // no handler begins after this
  const int before = oven.call([](Oven& o) { return o.degrees; });
  std::this_thread::sleep_for(20ms);
  const int after = oven.call([](Oven& o) { return o.degrees; });
  std::printf("heating %s, %d degrees more\n", heating.is_active() ? "on" : "off", after - before);

  if (const auto left = alarm.cancel()) {
    std::printf("the alarm would have come in %ld minutes\n",
                static_cast<long>(std::chrono::ceil<std::chrono::minutes>(*left).count()));
  }
  std::printf("cancelled again: %s\n", alarm.cancel() ? "it was active" : "it had ended");
}

// Output:
// it is hot: 100 degrees
// heating off, 0 degrees more
// the alarm would have come in 60 minutes
// cancelled again: it had ended
