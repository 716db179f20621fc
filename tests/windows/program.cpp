// Servers, their calls and timers, a deadlock and the stacks of threads, on Windows.
#include <genserver/genserver.hpp>
#include <genserver/sync/backtrace.hpp>

#include <support/gate.hpp>

// After the library, whose own declarations of Windows' functions have to agree with these.
#include <windows.h>

#include <process.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace {

using genserver::platform::ThreadContext;
using namespace std::chrono_literals;

static_assert(sizeof(ThreadContext) == sizeof(CONTEXT));
static_assert(alignof(ThreadContext) == alignof(CONTEXT));
static_assert(offsetof(ThreadContext, flags) == offsetof(CONTEXT, ContextFlags));
static_assert(offsetof(ThreadContext, registers) == offsetof(CONTEXT, Rax));
static_assert(offsetof(ThreadContext, program) == offsetof(CONTEXT, Rip));

class Counter : public genserver::GenServer<int> {
 public:
  Counter() : GenServer({.name = "counter"}, 0) {}
  int increment() {
    return call([](int& n) { return ++n; });
  }
};

// Keeps a call from becoming a jump, so that its function stays on the stack.
void stay_on_stack() { asm volatile("" ::: "memory"); }

// The parts of a stack that are the same on every system, or what is wrong with it.
const char* verdict(const std::string& stack, std::string_view inner, std::string_view outer) {
  if (stack.find("taken") == std::string::npos) return stack.c_str();
  if (stack.find("incomplete") != std::string::npos) return stack.c_str();
  const std::size_t at = stack.find(inner);
  if (at == std::string::npos || stack.find(outer, at) == std::string::npos) return stack.c_str();
  return "complete, with the names of its functions";
}

}  // namespace

// What the stacks are searched for; not in the unnamed namespace, for their names.
class Node : public genserver::GenServer<Node*> {
 public:
  using GenServer::GenServer;
  [[gnu::noinline]] int ask_the_other() {
    const int answer = call([](Node*& other) { return other->ask_the_other(); });
    stay_on_stack();
    return answer;
  }
  void connect(Node& other) {
    call([&](Node*& known) { known = &other; });
  }
};

[[gnu::noinline]] void spin(std::atomic<bool>& stop) {
  while (!stop) stay_on_stack();
}

[[gnu::noinline]] void keep_busy(Gate& known, std::atomic<bool>& stop) {
  known.open();
  spin(stop);
  stay_on_stack();
}

[[gnu::noinline]] void throw_again_and_again(Gate& known, std::atomic<bool>& stop) {
  known.open();
  while (!stop) {
    try {
      throw std::runtime_error{"thrown"};
    } catch (const std::exception&) {
      stay_on_stack();
    }
  }
}

[[gnu::noinline]] int deepen(int depth, Gate& known, std::atomic<bool>& stop) {
  volatile char room[4096] = {};
  if (depth == 0) keep_busy(known, stop);
  return depth == 0 ? room[0] : deepen(depth - 1, known, stop) + room[1];
}

[[gnu::noinline]] std::string own_stack() {
  std::string stack = to_text(genserver::backtrace());
  stay_on_stack();
  return stack;
}

template <class Work>
class KnownThread {
 public:
  explicit KnownThread(Work work)
      : thread_{[this, work] {
          record_ = &genserver::ThreadRecord::current();
          incarnation_ = record_->incarnation();
          work(known_, stop_);
        }} {
    known_.wait();
  }
  ~KnownThread() {
    stop_ = true;
    thread_.join();
  }
  genserver::RawStack capture() const { return capture_stack(*record_, incarnation_); }
  // Takes it again until it has `name` in it: the thread may not have got there yet.
  std::string stack_with(std::string_view name) const {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    for (;;) {
      std::string stack = to_text(backtrace(*record_, incarnation_));
      const bool is_there = stack.find(name) != std::string::npos;
      if (is_there || std::chrono::steady_clock::now() > limit) return stack;
    }
  }

 private:
  genserver::ThreadRecord* record_ = nullptr;
  std::uint64_t incarnation_ = 0;
  std::atomic<bool> stop_{false};
  Gate known_{};
  std::thread thread_;
};

void show_servers() {
  Counter counter;
  std::thread other{[&] { counter.increment(); }};
  counter.increment();
  other.join();
  std::printf("calls: %d\n", counter.increment());

  counter.cast([](int& n) { n = 40; });
  counter.cast_after(20ms, [](int& n) { n += 2; });
  const auto limit = std::chrono::steady_clock::now() + 20s;
  int seen = 0;
  while (seen != 42 && std::chrono::steady_clock::now() < limit) {
    seen = counter.call([](int& n) { return n; });
  }
  std::printf("casts and timers: %d\n", seen);
}

void show_timeout() {
  Gate late;
  Counter counter;
  try {
    counter.call_for(50ms, [&](int&) { late.wait(); });
  } catch (const genserver::CallTimeout&) {
    std::printf("a call that takes too long times out\n");
  }
  late.open();
}

void show_deadlock() {
  std::string report;
  std::atomic<bool> is_reported{false};
  genserver::set_report_sink([&](const genserver::Report& told) {
    report = told.text();
    is_reported = true;
  });
  Node first{{.name = "first"}, nullptr};
  Node second{{.name = "second"}, nullptr};
  first.connect(second);
  second.connect(first);
  try {
    first.ask_the_other();
  } catch (const genserver::Deadlock& deadlock) {
    std::printf("deadlock of %zu servers\n", deadlock.cycle().size());
  }
  while (!is_reported) std::this_thread::yield();
  std::printf("reported: %s\n", verdict(report, "Node::ask_the_other", "Node::ask_the_other"));
  genserver::set_report_sink(nullptr);
}

void show_stacks() {
  std::printf("own: %s\n", verdict(own_stack(), "own_stack", "main"));
  {
    const KnownThread busy{keep_busy};
    std::printf("busy: %s\n", verdict(busy.stack_with("spin"), "spin", "keep_busy"));
  }
  {
    const KnownThread deep{[](Gate& known, std::atomic<bool>& stop) {
      deepen(60, known, stop);  // more than the copy is made for at first
    }};
    std::printf("deep: %s\n", verdict(deep.stack_with("spin"), "spin", "deepen"));
  }
  const KnownThread throwing{throw_again_and_again};
  int complete = 0;
  for (int times = 0; times < 1000; ++times) complete += throwing.capture().is_complete ? 1 : 0;
  std::printf("throwing: %s\n", complete > 950 ? "complete" : std::to_string(complete).c_str());
}

void show_threads() {
  static std::atomic<std::uint64_t> first{0};
  static std::atomic<bool> is_same{true};
  const auto use_record = [](void*) -> unsigned {
    const auto place = reinterpret_cast<std::uint64_t>(&genserver::ThreadRecord::current());
    std::uint64_t none = 0;
    if (!first.compare_exchange_strong(none, place)) is_same = is_same && none == place;
    return 0;
  };
  for (int times = 0; times < 20; ++times) {
    std::thread{[&] { use_record(nullptr); }}.join();
    const auto plain = _beginthreadex(nullptr, 0, use_record, nullptr, 0, nullptr);
    WaitForSingleObject(reinterpret_cast<HANDLE>(plain), INFINITE);
    CloseHandle(reinterpret_cast<HANDLE>(plain));
  }
  std::printf("threads that end: %s\n", is_same ? "give back what they had" : "keep it");
}

int main() {
  show_servers();
  show_timeout();
  show_deadlock();
  show_stacks();
  show_threads();
}

// Output:
// calls: 3
// casts and timers: 42
// a call that takes too long times out
// deadlock of 2 servers
// reported: complete, with the names of its functions
// own: complete, with the names of its functions
// busy: complete, with the names of its functions
// deep: complete, with the names of its functions
// throwing: complete
// threads that end: give back what they had
