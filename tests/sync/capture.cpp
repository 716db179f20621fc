// SPDX-License-Identifier: BSL-1.0
// That taking another thread's stack disturbs nobody.
#include <genserver/sync/backtrace.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <latch>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <ucontext.h>
#include <unistd.h>

using genserver::Deadline;
using genserver::RawStack;
using genserver::ThreadRecord;

namespace platform = genserver::platform;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Call = std::function<long()>;

// The numbers of the system calls behind one library function.
using Numbers = std::initializer_list<long>;

#if defined(SYS_poll)
constexpr Numbers poll_numbers = {SYS_poll, SYS_ppoll};
constexpr Numbers select_numbers = {SYS_select, SYS_pselect6};
constexpr Numbers epoll_numbers = {SYS_epoll_wait, SYS_epoll_pwait};
#else
constexpr Numbers poll_numbers = {SYS_ppoll};
constexpr Numbers select_numbers = {SYS_pselect6};
constexpr Numbers epoll_numbers = {SYS_epoll_pwait};
#endif
constexpr Numbers sleep_numbers = {SYS_nanosleep, SYS_clock_nanosleep};
constexpr Numbers accept_numbers = {SYS_accept, SYS_accept4};

constexpr auto nap = 300ms;  // of the calls that only time ends

}  // namespace

// What the stacks are searched for; not in the unnamed namespace, for their names.
extern "C" {

// Keeps a call from becoming a jump, so that its function stays on the stack.
inline void capture_test_stay() { asm volatile("" ::: "memory"); }

__attribute__((noinline)) long capture_test_call(const Call* call) {
  errno = 0;
  const long result = (*call)();
  capture_test_stay();
  return result < 0 ? -errno : result;
}

__attribute__((noinline)) void capture_test_spin(const std::atomic<bool>* stop) {
  while (!stop->load()) capture_test_stay();
}

// Calls from code of which no description tells how to get to its caller.
long capture_test_undescribed(long (*function)(const Call*), const Call* call);

// Calls read(file, byte, 1) with words pushed, in a frame that only the frame register tells of.
long capture_test_framed(ssize_t (*read)(int, void*, std::size_t), int file, char* byte);

}  // extern "C"

#if defined(__x86_64__)
asm(R"(
  .text
  .type capture_test_undescribed, @function
capture_test_undescribed:
  push %rbp
  xor %ebp, %ebp
  mov %rdi, %rax
  mov %rsi, %rdi
  call *%rax
  pop %rbp
  ret
  .size capture_test_undescribed, . - capture_test_undescribed

  .type capture_test_framed, @function
capture_test_framed:
  .cfi_startproc
  push %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  mov %rdi, %rax
  mov %rsp, %rbp
  .cfi_def_cfa_register %rbp
  mov %rdx, %r8
  push %rbx
  .cfi_offset %rbx, -24
  mov %esi, %edi
  sub $24, %rsp
  mov %r8, %rsi
  mov $1, %edx
  pushq $0
  pushq $0
  call *%rax
  mov -8(%rbp), %rbx
  leave
  .cfi_def_cfa %rsp, 8
  ret
  .cfi_endproc
  .size capture_test_framed, . - capture_test_framed
)");
#endif

namespace {

bool has_function(const RawStack& stack, std::string_view name) {
  const auto trace = symbolize(stack);
  return std::any_of(trace.frames.begin(), trace.frames.end(), [name](const auto& frame) {
    return frame.function.find(name) != std::string::npos;
  });
}

bool is_in_libc(std::uintptr_t address) {
  Dl_info module{};
  return ::dladdr(reinterpret_cast<void*>(address), &module) != 0 &&
         std::string_view{module.dli_fname}.find("libc") != std::string_view::npos;
}

// A thread that has made itself known and makes one call.
class Caller {
 public:
  explicit Caller(Call call)
      : call_{std::move(call)}, thread_{[this] {
          record_ = &ThreadRecord::current();
          incarnation_ = record_->incarnation();
          number_ = static_cast<int>(::syscall(SYS_gettid));
          begin_ = Clock::now();
          known_.count_down();
          is_calling_ = true;
          result_ = capture_test_call(&call_);
          duration_ = Clock::now() - begin_;
          has_returned_ = true;
        }} {
    known_.wait();
  }
  ~Caller() { join(); }

  RawStack capture(std::chrono::nanoseconds timeout = 20s) const {
    return capture_stack(*record_, incarnation_, timeout);
  }
  // Whether it sleeps in the call, which has one of the numbers.
  bool is_in(Numbers numbers) const {
    const auto place = platform::ProcTask{number_}.place();
    return is_calling_ && place && place->is_sleeping &&
           std::find(numbers.begin(), numbers.end(), place->system_call) != numbers.end();
  }
  bool has_returned() const { return has_returned_; }
  int number() const { return number_; }
  Clock::time_point begin() const { return begin_; }

  // What the call returned, or its error number, negative.
  long result() {
    join();
    return result_;
  }
  Clock::duration duration() {
    join();
    return duration_;
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  Call call_;
  ThreadRecord* record_ = nullptr;
  std::uint64_t incarnation_ = 0;
  int number_ = 0;
  Clock::time_point begin_{};
  Clock::duration duration_{};
  long result_ = 0;
  std::atomic<bool> is_calling_{false};
  std::atomic<bool> has_returned_{false};
  std::latch known_{1};
  std::thread thread_;
};

// Dumps a caller many times, and tells of the first dump that is not as it should be: whole, with
// the call and its caller, and taken without a signal. From `end` on the call may have returned.
std::string flaw_of_dumps(const Caller& caller, Numbers numbers,
                          Clock::time_point end = Clock::time_point::max()) {
  if (!eventually([&] { return caller.is_in(numbers) || Clock::now() >= end; })) {
    return "it is not in the call";
  }
  for (int times = 0; times < 50; ++times) {
    const RawStack stack = caller.capture();
    const bool has_returned = caller.has_returned();
    if (Clock::now() >= end) break;
    const bool is_good = stack.note == "taken while the thread slept" && stack.is_complete &&
                         has_function(stack, "capture_test_call") &&
                         is_in_libc(stack.addresses[0]) && !has_returned;
    if (!is_good) return std::to_string(times) + ": " + to_text(symbolize(stack));
  }
  return "";
}

struct Pipe {
  Pipe() { REQUIRE(::pipe(ends) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  bool write() const { return ::write(ends[1], "x", 1) == 1; }
  long read() const {
    char byte = 0;
    return ::read(ends[0], &byte, 1);
  }

  int ends[2]{};
};

// A socket that others can connect to, under a name that the kernel chooses.
struct Listener {
  Listener() : file{::socket(AF_UNIX, SOCK_STREAM, 0)} {
    address.sun_family = AF_UNIX;
    REQUIRE(::bind(file, generic(), sizeof address.sun_family) == 0);
    REQUIRE(::listen(file, 1) == 0);
    length = sizeof address;
    REQUIRE(::getsockname(file, generic(), &length) == 0);
  }
  ~Listener() {
    ::close(client);
    ::close(file);
  }
  bool connect(int options = 0) {
    client = ::socket(AF_UNIX, SOCK_STREAM | options, 0);
    return ::connect(client, generic(), length) == 0;
  }
  long accept() const {
    const int accepted = ::accept(file, nullptr, nullptr);
    if (accepted >= 0) ::close(accepted);
    return accepted < 0 ? -1 : 1;
  }
  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&address); }

  int file;
  int client = -1;
  sockaddr_un address{};
  socklen_t length = 0;
};

struct SocketPair {
  SocketPair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0); }
  ~SocketPair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  bool send() const { return ::send(ends[1], "x", 1, 0) == 1; }
  long receive() const {
    char byte = 0;
    return ::recv(ends[0], &byte, 1, 0);
  }

  int ends[2]{};
};

// A word to sleep on, with the kernel's own call.
struct Futex {
  long wait(const timespec* timeout) {
    return ::syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, timeout, nullptr, 0);
  }
  void wake() {
    word = 1;
    ::syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
  }

  std::atomic<std::uint32_t> word{0};
};

// A condition that counts how often it was looked at: once before the wait and once when it holds,
// unless something else woke the thread.
struct Condition {
  bool look() {
    ++looks;
    return holds;
  }
  long wait() {
    std::unique_lock lock{mutex};
    changed.wait(lock, [this] { return look(); });
    return looks;
  }
  long wait_for() {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, std::chrono::hours{1}, [this] { return look(); }) ? looks : -1;
  }
  void fulfil() {
    const std::scoped_lock lock{mutex};
    holds = true;
    changed.notify_all();
  }

  std::mutex mutex{};
  std::condition_variable changed{};
  bool holds = false;  // guarded by mutex
  long looks = 0;      // guarded by mutex
};

}  // namespace

// --- A thread that sleeps in the kernel does not notice. ---

TEST_CASE("sleep_for() does not notice that its thread is dumped", "[sync][capture]") {
  Caller caller{[] {
    std::this_thread::sleep_for(nap);
    return 0L;
  }};

  CHECK(flaw_of_dumps(caller, sleep_numbers, caller.begin() + nap) == "");
  CHECK(caller.duration() >= nap);
}

TEST_CASE("nanosleep() does not notice that its thread is dumped", "[sync][capture]") {
  const timespec length{0, std::chrono::nanoseconds{nap}.count()};
  Caller caller{[&] { return ::nanosleep(&length, nullptr); }};

  CHECK(flaw_of_dumps(caller, sleep_numbers, caller.begin() + nap) == "");
  CHECK(caller.result() == 0);
  CHECK(caller.duration() >= nap);
}

TEST_CASE("a wait on a condition variable does not notice dumps", "[sync][capture]") {
  Condition condition;
  Caller caller{[&] { return condition.wait(); }};

  CHECK(flaw_of_dumps(caller, {SYS_futex}) == "");
  condition.fulfil();
  CHECK(caller.result() == 2);
}

TEST_CASE("a wait with a time limit on a condition variable does not notice dumps",
          "[sync][capture]") {
  Condition condition;
  Caller caller{[&] { return condition.wait_for(); }};

  CHECK(flaw_of_dumps(caller, {SYS_futex}) == "");
  condition.fulfil();
  CHECK(caller.result() == 2);
}

TEST_CASE("a mutex's lock() does not notice that its thread is dumped", "[sync][capture]") {
  std::mutex mutex;
  mutex.lock();
  Caller caller{[&] {
    const std::scoped_lock lock{mutex};
    return 1L;
  }};

  CHECK(flaw_of_dumps(caller, {SYS_futex}) == "");
  mutex.unlock();
  CHECK(caller.result() == 1);
}

TEST_CASE("a futex without a time limit does not notice dumps", "[sync][capture]") {
  Futex futex;
  Caller caller{[&] { return futex.wait(nullptr); }};

  CHECK(flaw_of_dumps(caller, {SYS_futex}) == "");
  futex.wake();
  CHECK(caller.result() == 0);
}

TEST_CASE("a futex with a time limit does not notice dumps", "[sync][capture]") {
  Futex futex;
  const timespec hour{3600, 0};
  Caller caller{[&] { return futex.wait(&hour); }};

  CHECK(flaw_of_dumps(caller, {SYS_futex}) == "");
  futex.wake();
  CHECK(caller.result() == 0);
}

TEST_CASE("read() does not notice that its thread is dumped", "[sync][capture]") {
  const Pipe pipe;
  Caller caller{[&] { return pipe.read(); }};

  CHECK(flaw_of_dumps(caller, {SYS_read}) == "");
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
}

TEST_CASE("poll() does not notice that its thread is dumped", "[sync][capture]") {
  const Pipe pipe;
  pollfd awaited{pipe.ends[0], POLLIN, 0};
  Caller caller{[&] { return ::poll(&awaited, 1, 3'600'000); }};

  CHECK(flaw_of_dumps(caller, poll_numbers) == "");
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
}

TEST_CASE("select() does not notice that its thread is dumped", "[sync][capture]") {
  const Pipe pipe;
  fd_set awaited;
  FD_ZERO(&awaited);
  FD_SET(pipe.ends[0], &awaited);
  timeval hour{3600, 0};
  Caller caller{[&] { return ::select(pipe.ends[0] + 1, &awaited, nullptr, nullptr, &hour); }};

  CHECK(flaw_of_dumps(caller, select_numbers) == "");
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
}

TEST_CASE("epoll_wait() does not notice that its thread is dumped", "[sync][capture]") {
  const Pipe pipe;
  const int events = ::epoll_create1(0);
  epoll_event awaited{};
  awaited.events = EPOLLIN;
  REQUIRE(::epoll_ctl(events, EPOLL_CTL_ADD, pipe.ends[0], &awaited) == 0);
  Caller caller{[&] { return ::epoll_wait(events, &awaited, 1, 3'600'000); }};

  CHECK(flaw_of_dumps(caller, epoll_numbers) == "");
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
  ::close(events);
}

TEST_CASE("accept() does not notice that its thread is dumped", "[sync][capture]") {
  Listener listener;
  Caller caller{[&] { return listener.accept(); }};

  CHECK(flaw_of_dumps(caller, accept_numbers) == "");
  CHECK(listener.connect());
  CHECK(caller.result() == 1);
}

TEST_CASE("recv() does not notice that its thread is dumped", "[sync][capture]") {
  const SocketPair sockets;
  Caller caller{[&] { return sockets.receive(); }};

  CHECK(flaw_of_dumps(caller, {SYS_recvfrom}) == "");
  CHECK(sockets.send());
  CHECK(caller.result() == 1);
}

// --- The signal, which a thread gets that falls asleep in just that moment. ---

namespace {

// Lets the calling thread answer the signal for a request of the test's.
class Answering {
 public:
  explicit Answering(platform::StackRequest& request) : before_{platform::own_stack_request} {
    request.open({});
    platform::own_stack_request = &request;
  }
  ~Answering() { platform::own_stack_request = before_; }
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

 private:
  platform::StackRequest* before_;
};

// A call under which the thread is asked although it sleeps.
class AskedCaller {
 public:
  explicit AskedCaller(Call call)
      : caller_{[this, call = std::move(call)] {
          const Answering answering{request_};
          opened_.count_down();
          return call();
        }} {}

  // Asks many times; tells of the first answer that does not show the call and its caller.
  std::string flaw_of_answers(Numbers numbers) {
    // ThreadSanitizer keeps the signal until the call is over: it disturbs, but is not answered.
    const auto patience = platform::is_signal_deferred ? 1ms : std::chrono::milliseconds{20s};
    opened_.wait();
    for (int times = 0; times < 20; ++times) {
      if (!eventually([&] { return caller_.is_in(numbers); })) return "it is not in the call";
      platform::WalkedStack walked;
      const auto outcome = request_.ask(caller_.number(), platform::stack_signal(),
                                        Deadline::after(patience), walked);
      if (platform::is_signal_deferred) continue;
      if (outcome != platform::StackRequest::Outcome::answered) return "no answer";
      RawStack stack;
      stack.count = walked.count;
      std::copy_n(walked.addresses.begin(), walked.count, stack.addresses.begin());
      const bool is_good = walked.is_complete && has_function(stack, "capture_test_call");
      if (!is_good) return to_text(symbolize(stack));
    }
    return eventually([&] { return caller_.is_in(numbers); }) ? "" : "it did not go on";
  }
  long result() { return caller_.result(); }
  Clock::duration duration() { return caller_.duration(); }

 private:
  platform::StackRequest request_{};
  std::latch opened_{1};
  Caller caller_;
};

}  // namespace

TEST_CASE("read() goes on after the signal", "[sync][capture]") {
  const Pipe pipe;
  AskedCaller caller{[&] { return pipe.read(); }};

  CHECK(caller.flaw_of_answers({SYS_read}) == "");
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
}

TEST_CASE("accept() goes on after the signal", "[sync][capture]") {
  Listener listener;
  AskedCaller caller{[&] { return listener.accept(); }};

  CHECK(caller.flaw_of_answers(accept_numbers) == "");
  CHECK(listener.connect());
  CHECK(caller.result() == 1);
}

TEST_CASE("recv() goes on after the signal", "[sync][capture]") {
  const SocketPair sockets;
  AskedCaller caller{[&] { return sockets.receive(); }};

  CHECK(caller.flaw_of_answers({SYS_recvfrom}) == "");
  CHECK(sockets.send());
  CHECK(caller.result() == 1);
}

TEST_CASE("a futex without a time limit goes on after the signal", "[sync][capture]") {
  Futex futex;
  AskedCaller caller{[&] { return futex.wait(nullptr); }};

  CHECK(caller.flaw_of_answers({SYS_futex}) == "");
  futex.wake();
  CHECK(caller.result() == 0);
}

TEST_CASE("a mutex's lock() goes on after the signal", "[sync][capture]") {
  std::mutex mutex;
  mutex.lock();
  AskedCaller caller{[&] {
    const std::scoped_lock lock{mutex};
    return 1L;
  }};

  CHECK(caller.flaw_of_answers({SYS_futex}) == "");
  mutex.unlock();
  CHECK(caller.result() == 1);
}

TEST_CASE("a wait on a condition variable does not return for the signal", "[sync][capture]") {
  Condition condition;
  AskedCaller caller{[&] { return condition.wait(); }};

  CHECK(caller.flaw_of_answers({SYS_futex}) == "");
  condition.fulfil();
  CHECK(caller.result() == 2);
}

TEST_CASE("a wait with a time limit does not return for the signal", "[sync][capture]") {
  Condition condition;
  AskedCaller caller{[&] { return condition.wait_for(); }};

  CHECK(caller.flaw_of_answers({SYS_futex}) == "");
  condition.fulfil();
  CHECK(caller.result() == 2);
}

TEST_CASE("sleep_for() is not shortened by the signal", "[sync][capture]") {
  AskedCaller caller{[] {
    std::this_thread::sleep_for(nap);
    return 0L;
  }};

  static_cast<void>(caller.flaw_of_answers(sleep_numbers));  // asks at least once

  CHECK(caller.duration() >= nap);
}

TEST_CASE("no read() fails of a thread that sleeps and wakes while it is dumped",
          "[sync][capture]") {
  const Pipe there;
  const Pipe back;
  std::atomic<bool> stop{false};
  Caller echoing{[&] {
    while (there.read() == 1 && back.write() && !stop) capture_test_stay();
    return stop ? 1L : -1L;
  }};
  Caller calling{[&] {
    while (there.write() && back.read() == 1 && !stop) capture_test_stay();
    return stop ? 1L : -1L;
  }};
  int missing = 0;

  for (int times = 0; times < 1000; ++times) missing += echoing.capture().count == 0 ? 1 : 0;
  stop = true;
  CHECK(there.write());
  CHECK(back.write());

  CHECK(missing == 0);
  CHECK(echoing.result() == 1);
  CHECK(calling.result() == 1);
}

TEST_CASE("the thread's errno outlives the signal", "[sync][capture]") {
  std::atomic<bool> stop{false};
  Caller caller{[&] {
    errno = ERANGE;
    capture_test_spin(&stop);
    return errno == ERANGE ? 1L : 0L;
  }};

  for (int times = 0; times < 100; ++times) CHECK(caller.capture().count > 0);
  stop = true;

  CHECK(caller.result() == 1);
}

// --- Who cannot be asked. ---

namespace {

void block_all_signals() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

// How many signals of this number wait for the calling thread, which blocks them; takes them.
long take_pending(int signal) {
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, signal);
  constexpr timespec at_once{};
  long count = 0;
  while (::sigtimedwait(&awaited, nullptr, &at_once) == signal) ++count;
  return count;
}

// Takes all real-time signals, as a program may do.
class AllSignalsTaken {
 public:
  AllSignalsTaken() {
    struct sigaction users {};
    users.sa_handler = [](int) {};
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
      ::sigaction(signal, &users, &before_[static_cast<std::size_t>(signal)]);
    }
  }
  ~AllSignalsTaken() {
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
      ::sigaction(signal, &before_[static_cast<std::size_t>(signal)], nullptr);
    }
  }
  AllSignalsTaken(const AllSignalsTaken&) = delete;
  AllSignalsTaken& operator=(const AllSignalsTaken&) = delete;

 private:
  std::array<struct sigaction, 128> before_{};
};

// Lets no further signal be queued for this user's programs by this one.
class NoRoomForSignals {
 public:
  NoRoomForSignals() {
    ::getrlimit(RLIMIT_SIGPENDING, &before_);
    const rlimit none{0, before_.rlim_max};
    ::setrlimit(RLIMIT_SIGPENDING, &none);
  }
  ~NoRoomForSignals() { ::setrlimit(RLIMIT_SIGPENDING, &before_); }
  NoRoomForSignals(const NoRoomForSignals&) = delete;
  NoRoomForSignals& operator=(const NoRoomForSignals&) = delete;

 private:
  rlimit before_{};
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("dumps of a thread that blocks the signal leave one of them behind", "[sync][capture]") {
  std::atomic<bool> stop{false};
  std::latch blocked{1};
  const int signal = platform::stack_signal();
  Caller deaf{[&] {
    block_all_signals();
    blocked.count_down();
    capture_test_spin(&stop);
    return take_pending(signal);
  }};
  blocked.wait();

  for (int times = 0; times < 20; ++times) CHECK(deaf.capture(1ms).count == 0);
  stop = true;

  CHECK(deaf.result() <= 1);
}

TEST_CASE("a signal that was blocked for long is answered when it is not", "[sync][capture]") {
  std::atomic<bool> unblock{false};
  std::atomic<bool> stop{false};
  std::latch blocked{1};
  Caller deaf{[&] {
    block_all_signals();
    blocked.count_down();
    capture_test_spin(&unblock);
    sigset_t none;
    sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    capture_test_spin(&stop);
    return 0L;
  }};
  blocked.wait();

  CHECK(deaf.capture(1ms).count == 0);
  unblock = true;
  CHECK(deaf.capture().is_complete);
  stop = true;
}

TEST_CASE("a thread that ends while its answer is awaited keeps nobody waiting",
          "[sync][capture]") {
  std::atomic<bool> stop{false};
  std::latch blocked{1};
  Caller deaf{[&] {
    block_all_signals();
    blocked.count_down();
    capture_test_spin(&stop);
    return 0L;
  }};
  blocked.wait();
  const auto is_asked = [task = platform::ProcTask{deaf.number()}] {
    const auto status = task.status();
    return status && status->pending_signals != 0;
  };
  RawStack stack;
  std::thread asking{[&] { stack = deaf.capture(std::chrono::hours{1}); }};

  CHECK(eventually([&] { return is_asked() || platform::is_signal_deferred; }));
  stop = true;
  asking.join();

  // Where it cannot be seen that the signal is on its way, it may not have been sent in time.
  if (!platform::is_signal_deferred) CHECK(contains(stack.note, "the thread "));  // is ending
}

TEST_CASE("a program that uses all real-time signals is told so", "[sync][capture]") {
  std::atomic<bool> stop{false};
  Caller busy{[&] { return capture_test_spin(&stop), 0L; }};
  RawStack stack;

  {
    const AllSignalsTaken taken;
    stack = busy.capture();
  }
  CHECK(stack.note == "not asked: no real-time signal is free");
  CHECK(busy.capture().is_complete);
  stop = true;
}

TEST_CASE("a sleeping thread is seen when all real-time signals are in use", "[sync][capture]") {
  const Pipe pipe;
  Caller caller{[&] { return pipe.read(); }};

  {
    const AllSignalsTaken taken;
    CHECK(flaw_of_dumps(caller, {SYS_read}) == "");
  }
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
}

TEST_CASE("the note says that no more signals may be queued", "[sync][capture]") {
  std::atomic<bool> stop{false};
  Caller busy{[&] { return capture_test_spin(&stop), 0L; }};
  RawStack stack;

  {
    const NoRoomForSignals full;
    stack = busy.capture();
  }
  CHECK(contains(stack.note, "RLIMIT_SIGPENDING"));
  CHECK(busy.capture().is_complete);
  stop = true;
}

TEST_CASE("a signal that was taken and given back is used again", "[sync][capture]") {
  const int before = platform::stack_signal();

  for (int times = 0; times < 100; ++times) {
    const AllSignalsTaken taken;
    CHECK(platform::stack_signal() == 0);
  }

  CHECK(platform::stack_signal() <= before);
}

// --- Threads that are not on their own stack. ---

namespace {

constexpr std::size_t stack_size = std::size_t{256} << 10;

// Calls on an alternate signal stack, in a handler of the user's.
struct InHandler {
  static void handle(int) { result = (*call)(); }

  static long run(const Call& handled) {
    const auto memory = std::make_unique_for_overwrite<std::byte[]>(stack_size);
    stack_t own{};
    stack_t other{};
    own.ss_sp = memory.get();
    own.ss_size = stack_size;
    call = &handled;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = &handle;
    action.sa_flags = SA_ONSTACK;
    ::sigaltstack(&own, &other);
    ::sigaction(SIGUSR1, &action, &before);
    ::pthread_kill(::pthread_self(), SIGUSR1);
    ::sigaction(SIGUSR1, &before, nullptr);
    ::sigaltstack(&other, nullptr);
    return result;
  }

  static inline const Call* call = nullptr;
  static inline long result = 0;
};

// Calls in a fiber.
struct InFiber {
  static void enter() { result = (*call)(); }

  static long run(const Call& called) {
    const auto memory = std::make_unique_for_overwrite<std::byte[]>(stack_size);
    ucontext_t fiber;
    ucontext_t thread;
    call = &called;
    ::getcontext(&fiber);
    fiber.uc_stack.ss_sp = memory.get();
    fiber.uc_stack.ss_size = stack_size;
    fiber.uc_link = &thread;
    ::makecontext(&fiber, &InFiber::enter, 0);
    ::swapcontext(&thread, &fiber);
    return result;
  }

  static inline const Call* call = nullptr;
  static inline long result = 0;
};

}  // namespace

TEST_CASE("a thread that sleeps in a signal handler is seen with what it interrupted",
          "[sync][capture]") {
  const Pipe pipe;
  const Call read = [&] { return pipe.read(); };
  Caller caller{[&] { return InHandler::run(read); }};

  CHECK(flaw_of_dumps(caller, {SYS_read}) == "");
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
}

TEST_CASE("a thread that runs in a signal handler is seen with what it interrupted",
          "[sync][capture]") {
  if (platform::is_signal_deferred) return;  // ThreadSanitizer runs no handler in a handler
  std::atomic<bool> stop{false};
  const Call spin = [&] { return capture_test_spin(&stop), 1L; };
  Caller caller{[&] { return InHandler::run(spin); }};

  CHECK(eventually([&] { return has_function(caller.capture(), "capture_test_spin"); }));
  const RawStack stack = caller.capture();
  stop = true;

  CHECK(stack.is_complete);
  CHECK(has_function(stack, "capture_test_call"));
  CHECK(caller.result() == 1);
}

TEST_CASE("a thread that sleeps in a fiber is seen down to where the fiber begins",
          "[sync][capture]") {
  const Pipe pipe;
  const Call read = [&] { return pipe.read(); };
  Caller caller{[&] { return InFiber::run([&] { return capture_test_call(&read); }); }};

  CHECK(flaw_of_dumps(caller, {SYS_read}) == "");
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
}

TEST_CASE("a thread that runs in a fiber is seen down to where the fiber begins",
          "[sync][capture]") {
  std::atomic<bool> stop{false};
  const Call spin = [&] { return capture_test_spin(&stop), 1L; };
  Caller caller{[&] { return InFiber::run(spin); }};

  CHECK(eventually([&] { return has_function(caller.capture(), "capture_test_spin"); }));
  const RawStack stack = caller.capture();
  stop = true;

  CHECK(stack.is_complete);
  CHECK(has_function(stack, "InFiber::enter"));
  CHECK(caller.result() == 1);
}

#if defined(__x86_64__)

TEST_CASE("a call that a signal would end is left alone where the snapshot tells too little",
          "[sync][capture]") {
  const Pipe pipe;
  pollfd awaited{pipe.ends[0], POLLIN, 0};
  const Call poll = [&] { return ::poll(&awaited, 1, 3'600'000); };
  Caller caller{[&] { return capture_test_undescribed(&capture_test_call, &poll); }};

  CHECK(eventually([&] { return caller.is_in(poll_numbers); }));
  for (int times = 0; times < 20; ++times) {
    const RawStack stack = caller.capture();
    CHECK(has_function(stack, "capture_test_call"));
    CHECK(contains(stack.note, "incomplete; not asked: the signal would end its call"));
  }
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
}

TEST_CASE("a sleeping thread is seen where the frame register is needed, and not known",
          "[sync][capture]") {
  const Pipe pipe;
  char byte = 0;
  const auto framed = std::atomic{&capture_test_framed};  // so that the call is an indirect one
  Caller caller{[&] { return framed.load()(&::read, pipe.ends[0], &byte); }};

  CHECK(flaw_of_dumps(caller, {SYS_read}) == "");
  CHECK(pipe.write());
  CHECK(caller.result() == 1);
}

#endif

// --- All at once. ---

namespace {

// Threads that do what a program's threads do, until stopped; counts what failed in them.
class BusyProgram {
 public:
  BusyProgram() {
    const std::vector<void (BusyProgram::*)()> works = {&BusyProgram::throw_and_catch,
                                                        &BusyProgram::allocate,
                                                        &BusyProgram::load_libraries,
                                                        &BusyProgram::start_threads,
                                                        &BusyProgram::sleep_for_no_time,
                                                        &BusyProgram::take_locks,
                                                        &BusyProgram::read,
                                                        &BusyProgram::accept,
                                                        &BusyProgram::wait_on_futex,
                                                        &BusyProgram::run};
    for (std::size_t number = 0; number < 20; ++number) {
      const auto work = works[number % works.size()];
      callers_.push_back(std::make_unique<Caller>([this, work] {
        start_.wait();
        return (this->*work)(), 0L;
      }));
    }
    start_.count_down();
    feeder_ = std::thread{[this] { feed(); }};
  }
  ~BusyProgram() { stop(); }

  void stop() {
    if (!stop_.exchange(true)) feeder_.join();
    for (const auto& caller : callers_) caller->join();
  }
  const std::vector<std::unique_ptr<Caller>>& callers() const { return callers_; }
  int failures() const { return failures_; }

 private:
  void throw_and_catch() {
    while (!stop_) {
      try {
        throw std::runtime_error{"thrown again and again"};
      } catch (const std::exception&) {
        capture_test_stay();
      }
    }
  }
  void allocate() {
    for (std::size_t size = 1; !stop_; size = size * 5 % 65'537) {
      *std::make_unique<char[]>(size).get() = 'x';
    }
  }
  void load_libraries() {
    if (platform::is_signal_deferred) return;  // ThreadSanitizer does not see the loader's locks
    while (!stop_) {
      if (void* library = ::dlopen("libanl.so.1", RTLD_NOW)) ::dlclose(library);
    }
  }
  void start_threads() {
    while (!stop_) std::thread{[] { static_cast<void>(ThreadRecord::current()); }}.join();
  }
  void sleep_for_no_time() {
    while (!stop_) std::this_thread::sleep_for(0ns);
  }
  void take_locks() {
    while (!stop_) {
      const std::scoped_lock lock{mutex_};
      ++locked_;
    }
  }
  void read() {
    while (!stop_) check(pipe_.read() == 1);
  }
  void accept() {
    while (!stop_) check(listener_.accept() == 1);
  }
  void wait_on_futex() {
    while (!stop_) check(futex_.wait(nullptr) == 0 || errno == EAGAIN);
  }
  void run() { capture_test_spin(&stop_); }

  // Ends the waits of the others, without one of its own; goes on until the last has returned.
  void feed() {
    ::fcntl(pipe_.ends[1], F_SETFL, O_NONBLOCK);
    const auto is_over = [](const auto& caller) { return caller->has_returned(); };
    while (!std::all_of(callers_.begin(), callers_.end(), is_over)) {
      static_cast<void>(pipe_.write());
      static_cast<void>(listener_.connect(SOCK_NONBLOCK));
      ::close(std::exchange(listener_.client, -1));
      futex_.wake();
      futex_.word = stop_ ? 1U : 0U;
    }
  }
  void check(bool is_good) { failures_ += is_good ? 0 : 1; }

  std::latch start_{1};
  std::atomic<bool> stop_{false};
  std::atomic<int> failures_{0};
  std::mutex mutex_{};
  long locked_ = 0;  // guarded by mutex_
  Pipe pipe_{};
  Listener listener_{};
  Futex futex_{};
  std::vector<std::unique_ptr<Caller>> callers_{};
  std::thread feeder_{};
};

}  // namespace

TEST_CASE("a busy program does not notice that all its threads are dumped all the time",
          "[sync][capture][.stress]") {
  BusyProgram program;
  const auto end = Clock::now() + 3s;
  std::atomic<int> without_reason{0};
  std::vector<std::thread> requesters;

  for (int number = 0; number < 4; ++number) {
    requesters.emplace_back([&] {
      const auto& callers = program.callers();
      for (std::size_t times = 0; Clock::now() < end; ++times) {
        const RawStack stack = callers[times % callers.size()]->capture(1s);
        without_reason += stack.count == 0 && stack.note.empty() ? 1 : 0;
      }
    });
  }
  for (std::thread& requester : requesters) requester.join();
  program.stop();

  CHECK(program.failures() == 0);
  CHECK(without_reason == 0);
}
