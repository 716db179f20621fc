// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/backtrace.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <pthread.h>
#include <unistd.h>

using genserver::RawStack;
using genserver::StackTrace;
using genserver::ThreadRecord;

namespace {

using namespace std::chrono_literals;

// Keeps a call from becoming a jump, so that its function stays on the stack.
inline void stay_on_stack() { asm volatile("" ::: "memory"); }

bool has_function(const StackTrace& trace, std::string_view name) {
  const auto has_name = [name](const genserver::Frame& frame) {
    return frame.function.find(name) != std::string::npos;
  };
  return std::any_of(trace.frames.begin(), trace.frames.end(), has_name);
}

// A thread that has made itself known.
class KnownThread {
 public:
  template <class Work>
  explicit KnownThread(Work work)
      : thread_{[this, work] {
          record_ = &ThreadRecord::current();
          incarnation_ = record_->incarnation();
          known_.count_down();
          work();
        }} {
    known_.wait();
  }
  ~KnownThread() { join(); }

  void join() {
    if (thread_.joinable()) thread_.join();
  }
  RawStack capture(std::chrono::nanoseconds timeout = 20s) const {
    return capture_stack(*record_, incarnation_, timeout);
  }
  // Takes it again until it has `name` in it: the thread may not have got there yet.
  StackTrace capture_until(std::string_view name) const {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    for (;;) {
      StackTrace trace = symbolize(capture());
      if (has_function(trace, name) || std::chrono::steady_clock::now() > limit) return trace;
      std::this_thread::yield();
    }
  }
  ThreadRecord& record() const { return *record_; }
  std::uint64_t incarnation() const { return incarnation_; }

 private:
  ThreadRecord* record_ = nullptr;
  std::uint64_t incarnation_ = 0;
  std::latch known_{1};
  std::thread thread_;
};

struct Pipe {
  Pipe() { REQUIRE(::pipe(ends) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void write() const { REQUIRE(::write(ends[1], "x", 1) == 1); }

  int ends[2]{};
};

// The condition for which the waiting threads below wait.
struct Signpost {
  void open() {
    {
      std::scoped_lock lock{mutex};
      is_open = true;
    }
    opened.notify_all();
  }

  std::mutex mutex{};
  std::condition_variable opened{};
  bool is_open = false;
};

}  // namespace

// What the traces are searched for; not in the unnamed namespace, for their names.
extern "C" {

__attribute__((noinline)) void backtrace_test_own(StackTrace* trace) {
  *trace = genserver::backtrace();
}

__attribute__((noinline)) void backtrace_test_wait(Signpost* post) {
  std::unique_lock lock{post->mutex};
  post->opened.wait(lock, [post] { return post->is_open; });
  stay_on_stack();
}

__attribute__((noinline)) void backtrace_test_outer(Signpost* post) {
  backtrace_test_wait(post);
  stay_on_stack();
}

__attribute__((noinline)) long backtrace_test_read(int file) {
  char byte = 0;
  const long result = ::read(file, &byte, 1);
  stay_on_stack();
  return result;
}

__attribute__((noinline)) void backtrace_test_spin(std::atomic<bool>* stop) {
  while (!stop->load()) stay_on_stack();
}

__attribute__((noinline)) void backtrace_test_throw(std::atomic<bool>* stop) {
  while (!stop->load()) {
    try {
      throw std::runtime_error{"thrown again and again"};
    } catch (const std::exception&) {
      stay_on_stack();
    }
  }
}

}  // extern "C"

TEST_CASE("a thread sees its own stack", "[sync][backtrace]") {
  StackTrace trace;
  backtrace_test_own(&trace);

  CHECK(has_function(trace, "backtrace_test_own"));
  CHECK(has_function(trace, "main"));
}

TEST_CASE("asking for the own record is the same as asking for oneself", "[sync][backtrace]") {
  ThreadRecord& self = ThreadRecord::current();

  const RawStack stack = capture_stack(self, self.incarnation());

  CHECK(stack.is_complete);
  CHECK(has_function(symbolize(stack), "main"));
}

TEST_CASE("a thread that waits on a condition variable is seen with its callers",
          "[sync][backtrace]") {
  Signpost post;
  KnownThread waiting{[&] { backtrace_test_outer(&post); }};

  const StackTrace trace = waiting.capture_until("backtrace_test_wait");
  post.open();

  CHECK(has_function(trace, "backtrace_test_wait"));
  CHECK(has_function(trace, "backtrace_test_outer"));
  CHECK(trace.frames.front().module.find("libc") != std::string::npos);
}

TEST_CASE("a thread in read() is seen, and goes on reading", "[sync][backtrace]") {
  Pipe pipe;
  std::atomic<long> result{0};
  KnownThread reading{[&] { result = backtrace_test_read(pipe.ends[0]); }};

  for (int times = 0; times < 20; ++times) {
    CHECK(has_function(reading.capture_until("backtrace_test_read"), "backtrace_test_read"));
  }
  pipe.write();
  reading.join();

  CHECK(result == 1);
}

TEST_CASE("a running thread is seen down to its first function", "[sync][backtrace]") {
  std::atomic<bool> stop{false};
  KnownThread busy{[&] { backtrace_test_spin(&stop); }};

  const StackTrace trace = busy.capture_until("backtrace_test_spin");
  const RawStack raw = busy.capture();
  stop = true;

  CHECK(has_function(trace, "backtrace_test_spin"));
  CHECK(raw.is_complete);
}

TEST_CASE("the signal does not make read() fail", "[sync][backtrace]") {
  Pipe pipe;
  std::atomic<long> result{0};
  KnownThread reading{[&] { result = backtrace_test_read(pipe.ends[0]); }};
  reading.capture_until("backtrace_test_read");
  struct sigaction action {};
  CHECK(::sigaction(genserver::platform::stack_signal(), nullptr, &action) == 0);

  CHECK((action.sa_flags & SA_RESTART) != 0);
  CHECK((action.sa_flags & SA_ONSTACK) != 0);
  CHECK((action.sa_flags & SA_SIGINFO) != 0);
  pipe.write();
  reading.join();
  CHECK(result == 1);
}

TEST_CASE("a thread that throws all the time survives many dumps", "[sync][backtrace]") {
  std::atomic<bool> stop{false};
  KnownThread throwing{[&] { backtrace_test_throw(&stop); }};
  int complete = 0;

  for (int times = 0; times < 3000; ++times) complete += throwing.capture().is_complete ? 1 : 0;
  stop = true;

  CHECK(complete > 2900);
}

TEST_CASE("a thread that has ended is not dumped", "[sync][backtrace]") {
  KnownThread ended{[] {}};
  ended.join();

  const RawStack stack = ended.capture();

  CHECK(stack.count == 0);
  CHECK(stack.note == "the thread has ended");
  CHECK(ended.record().incarnation() != ended.incarnation());
}

TEST_CASE("a record that went to another thread does not show that one", "[sync][backtrace]") {
  KnownThread first{[] {}};
  first.join();
  Signpost post;
  KnownThread second{[&] { backtrace_test_wait(&post); }};
  CHECK(&first.record() == &second.record());  // records are used again

  const RawStack stale = first.capture();
  const StackTrace fresh = second.capture_until("backtrace_test_wait");
  post.open();

  CHECK(stale.count == 0);
  CHECK(has_function(fresh, "backtrace_test_wait"));
}

TEST_CASE("a busy thread that blocks all signals is reported as such, in time",
          "[sync][backtrace]") {
  std::atomic<bool> stop{false};
  std::latch blocked{1};
  KnownThread deaf{[&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    blocked.count_down();
    backtrace_test_spin(&stop);
  }};
  blocked.wait();

  const RawStack stack = deaf.capture(50ms);
  stop = true;

  CHECK(stack.count == 0);
  CHECK(stack.note.find("is blocked") != std::string::npos);
}

TEST_CASE("a sleeping thread is seen although it blocks all signals", "[sync][backtrace]") {
  Signpost post;
  KnownThread deaf{[&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    backtrace_test_wait(&post);
  }};

  const StackTrace trace = deaf.capture_until("backtrace_test_wait");
  post.open();

  CHECK(has_function(trace, "backtrace_test_wait"));
}

TEST_CASE("an answer that comes too late does no harm", "[sync][backtrace]") {
  std::atomic<bool> stop{false};
  KnownThread busy{[&] { backtrace_test_spin(&stop); }};

  for (int times = 0; times < 200; ++times) static_cast<void>(busy.capture(0ns));
  const StackTrace trace = busy.capture_until("backtrace_test_spin");
  stop = true;

  CHECK(has_function(trace, "backtrace_test_spin"));
}

TEST_CASE("many threads dump many others at once", "[sync][backtrace]") {
  std::atomic<bool> stop{false};
  Signpost post;
  std::vector<std::unique_ptr<KnownThread>> targets;
  for (int number = 0; number < 3; ++number) {
    targets.push_back(std::make_unique<KnownThread>([&] { backtrace_test_wait(&post); }));
    targets.push_back(std::make_unique<KnownThread>([&] { backtrace_test_spin(&stop); }));
  }
  for (const auto& target : targets) target->capture_until("backtrace_test_");
  std::atomic<int> seen{0};
  std::vector<std::thread> requesters;

  for (int number = 0; number < 3; ++number) {
    requesters.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        for (const auto& target : targets) {
          seen += has_function(symbolize(target->capture()), "backtrace_test_") ? 1 : 0;
        }
      }
    });
  }
  for (std::thread& requester : requesters) requester.join();
  stop = true;
  post.open();

  CHECK(seen == 3 * 10 * 6);
}

TEST_CASE("threads that end while they are dumped are no problem", "[sync][backtrace]") {
  int without_reason = 0;

  for (int times = 0; times < 200; ++times) {
    KnownThread ending{[] {}};
    const RawStack stack = ending.capture();
    without_reason += stack.note.empty() ? 1 : 0;
  }

  CHECK(without_reason == 0);
}

TEST_CASE("two threads can dump each other", "[sync][backtrace]") {
  std::latch both{2};
  std::atomic<int> complete{0};
  std::atomic<KnownThread*> other[2] = {nullptr, nullptr};
  const auto dump = [&](std::size_t own) {
    other[1 - own].wait(nullptr);
    for (int times = 0; times < 100; ++times) {
      complete += other[1 - own].load()->capture().count > 0 ? 1 : 0;
    }
    both.arrive_and_wait();
  };
  KnownThread first{[&] { dump(0); }};
  KnownThread second{[&] { dump(1); }};

  other[0] = &first;
  other[1] = &second;
  other[0].notify_all();
  other[1].notify_all();
  first.join();
  second.join();

  CHECK(complete == 200);
}

TEST_CASE("a signal that someone else takes is left to him", "[sync][backtrace]") {
  std::atomic<bool> stop{false};
  KnownThread busy{[&] { backtrace_test_spin(&stop); }};
  busy.capture_until("backtrace_test_spin");
  const int before = genserver::platform::stack_signal();
  struct sigaction users {};
  struct sigaction ours {};
  users.sa_handler = [](int) {};
  CHECK(::sigaction(before, &users, &ours) == 0);

  const RawStack stack = busy.capture();
  const int after = genserver::platform::stack_signal();
  stop = true;

  CHECK(after != before);
  CHECK(stack.is_complete);
  CHECK(::sigaction(before, nullptr, &ours) == 0);
  CHECK(ours.sa_handler == users.sa_handler);
}

TEST_CASE("a stray signal of the same number is ignored", "[sync][backtrace]") {
  static_cast<void>(ThreadRecord::current());

  CHECK(::raise(genserver::platform::stack_signal()) == 0);
  sigval value{};
  value.sival_ptr = &value;
  CHECK(::sigqueue(::getpid(), genserver::platform::stack_signal(), value) == 0);
}

namespace {

// Its destructor runs after the thread has given its record back, as it was made before.
struct LateUser {
  ~LateUser() {
    ThreadRecord& record = ThreadRecord::current();
    *incarnation = record.incarnation();
    *count = capture_stack(record, record.incarnation()).count;
  }
  std::uint64_t* incarnation = nullptr;
  std::size_t* count = nullptr;
};

}  // namespace

TEST_CASE("a thread that is nearly gone has a retired record", "[sync][backtrace]") {
  std::uint64_t incarnation = 1;
  std::size_t count = 1;
  std::thread thread{[&] {
    thread_local LateUser user;
    user.incarnation = &incarnation;
    user.count = &count;
    static_cast<void>(ThreadRecord::current());
  }};

  thread.join();

  CHECK(incarnation % 2 == 0);
  CHECK(count == 0);
}
