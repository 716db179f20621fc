// A counter that two threads use without a lock.
#include <genserver/genserver.hpp>

#include <cstdio>
#include <thread>

class Counter : public genserver::GenServer<int> {  // the state is an int
 public:
  Counter() : GenServer({.name = "counter"}, 0) {}
  int increment() { return call([](int& n) { return ++n; }); }  // ask and wait
  void reset() { cast([](int& n) { n = 0; }); }                 // tell and go on
};

int main() {
  Counter counter;
  std::thread other{[&] { counter.increment(); }};
  counter.increment();
  other.join();
  std::printf("two threads, and now %d\n", counter.increment());
  counter.reset();
  std::printf("from the beginning: %d\n", counter.increment());
}

// Output:
// two threads, and now 3
// from the beginning: 1
