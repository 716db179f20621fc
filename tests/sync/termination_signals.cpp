// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/platform/termination_signals.hpp>

#include <support/catch.hpp>
#include <support/child_process.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/in_child.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include <pthread.h>
#include <unistd.h>

using namespace genserver;

namespace {

/// Remembers what it is told.
class Told {
 public:
  TerminationSignals::OnSignal listener() {
    return [this](int signal) {
      const std::scoped_lock lock{mutex_};
      signals_.push_back(signal);
    };
  }
  [[nodiscard]] std::vector<int> signals() {
    const std::scoped_lock lock{mutex_};
    return signals_;
  }

 private:
  std::mutex mutex_{};
  std::vector<int> signals_{};  // guarded by mutex_
};

/// Has another handler for a signal as long as it lives.
class OwnHandler {
 public:
  explicit OwnHandler(int signal, void (*handler)(int) = [](int) { ++calls; }) : signal_{signal} {
    struct sigaction action {};
    action.sa_handler = handler;
    ::sigaction(signal, &action, &before_);
    calls = 0;
  }
  ~OwnHandler() { ::sigaction(signal_, &before_, nullptr); }
  OwnHandler(const OwnHandler&) = delete;
  OwnHandler& operator=(const OwnHandler&) = delete;

  static inline std::atomic<int> calls{0};

 private:
  int signal_;
  struct sigaction before_ {};
};

}  // namespace

TEST_CASE("both signals are told, in the order in which they came",
          "[sync][termination_signals]") {
  Told told;
  const TerminationSignals signals{told.listener()};

  std::raise(SIGTERM);
  std::raise(SIGINT);

  CHECK(eventually([&] { return told.signals() == std::vector<int>{SIGTERM, SIGINT}; }));
  CHECK(TerminationSignals::name_of(SIGTERM) == std::string{"SIGTERM"});
  CHECK(TerminationSignals::name_of(SIGINT) == std::string{"SIGINT"});
}

TEST_CASE("a signal to the process is told though its threads block it",
          "[sync][termination_signals]") {
  sigset_t both;
  sigset_t before;
  sigemptyset(&both);
  sigaddset(&both, SIGINT);
  sigaddset(&both, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &both, &before);
  Told told;
  {
    const TerminationSignals signals{told.listener()};
    ::kill(::getpid(), SIGTERM);
    CHECK(eventually([&] { return told.signals().size() == 1; }));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("signals that come before the end are told before it", "[sync][termination_signals]") {
  Told told;
  for (int round = 0; round < 50; ++round) {
    const TerminationSignals signals{told.listener()};
    std::raise(SIGTERM);
  }

  CHECK(told.signals() == std::vector<int>(50, SIGTERM));
}

TEST_CASE("the handlers that were there are there again afterwards",
          "[sync][termination_signals]") {
  const OwnHandler own{SIGINT};
  Told told;
  {
    const TerminationSignals signals{told.listener()};
    std::raise(SIGINT);
  }
  CHECK(OwnHandler::calls == 0);

  std::raise(SIGINT);

  CHECK(OwnHandler::calls == 1);
  CHECK(told.signals() == std::vector<int>{SIGINT});
}

TEST_CASE("a handler that somebody has installed later stays", "[sync][termination_signals]") {
  Told told;
  auto signals = std::make_unique<TerminationSignals>(told.listener());
  const auto ours = std::make_unique<OwnHandler>(SIGINT);

  signals.reset();
  std::raise(SIGINT);

  CHECK(OwnHandler::calls == 1);
}

TEST_CASE("a handler that is put back after the end does what was done before",
          "[sync][termination_signals]") {
  const OwnHandler own{SIGINT};
  Told told;
  auto signals = std::make_unique<TerminationSignals>(told.listener());
  struct sigaction kept {};
  ::sigaction(SIGINT, nullptr, &kept);
  signals.reset();
  ::sigaction(SIGINT, &kept, nullptr);

  std::raise(SIGINT);
  CHECK(eventually([] { return OwnHandler::calls == 1; }));

  ::sigaction(SIGINT, &kept, nullptr);
  signals = std::make_unique<TerminationSignals>(told.listener());
  signals.reset();
  std::raise(SIGINT);
  CHECK(eventually([] { return OwnHandler::calls == 2; }));
  CHECK(told.signals().empty());
}

TEST_CASE("there is only one at a time", "[sync][termination_signals]") {
  auto first = std::make_unique<TerminationSignals>([](int) {});

  const auto refused = thrown<InvalidArgument>([] { TerminationSignals second{[](int) {}}; });
  REQUIRE(refused);
  CHECK(has(refused->what(), "termination_signals.cpp"));

  first.reset();
  CHECK_NOTHROW(TerminationSignals{[](int) {}});
}

TEST_CASE("what the listener throws does no harm", "[sync][termination_signals]") {
  std::atomic<int> count{0};
  {
    const TerminationSignals signals{[&](int) {
      ++count;
      throw std::runtime_error{"no"};
    }};
    std::raise(SIGTERM);
    std::raise(SIGTERM);
  }

  CHECK(count == 2);
}

TEST_CASE("a handler keeps errno, and more signals than the pipe holds do not hang it",
          "[sync][termination_signals]") {
  constexpr int many = 70000;
  Gate gate;
  std::atomic<int> count{0};
  {
    const TerminationSignals signals{[&](int) {
      gate.wait();
      ++count;
    }};
    errno = ENOTTY;
    for (int i = 0; i < many; ++i) std::raise(SIGTERM);
    CHECK(errno == ENOTTY);
    gate.open();
  }

  CHECK(count > many / 2);
  CHECK(count <= many);
}

TEST_CASE("a child of fork is ended by the signal, and nobody is told",
          "[sync][termination_signals]") {
  const OwnHandler usual_end{SIGTERM, SIG_DFL};
  const OwnHandler usual_interrupt{SIGINT, SIG_DFL};
  Told told;
  const TerminationSignals signals{told.listener()};

  CHECK(in_child([] { return std::raise(SIGTERM) + OwnHandler::calls; }) == -SIGTERM);
  CHECK(in_child([] { return ::kill(::getpid(), SIGINT) + OwnHandler::calls; }) == -SIGINT);
  CHECK(told.signals().empty());
}

TEST_CASE("the end of one in a child of fork leaves the parent's alone",
          "[sync][termination_signals]") {
  const OwnHandler usual_end{SIGTERM, SIG_DFL};
  Told told;
  auto signals = std::make_unique<TerminationSignals>(told.listener());

  CHECK(in_child([&] {
          signals.reset();
          const auto refused = thrown<Forked>([] { TerminationSignals another{[](int) {}}; });
          return refused ? std::raise(SIGTERM) : 1;
        }) == -SIGTERM);
  std::raise(SIGTERM);

  CHECK(eventually([&] { return told.signals().size() == 1; }));
}

TEST_CASE("a process whose listener hangs", "[.child]") {
  ::alarm(60);
  const TerminationSignals signals{[](int) {
    TerminationSignals::exit_at_next();
    tell_parent("first");
    Gate{}.wait();
  }};
  tell_parent("ready");
  Gate{}.wait();
}

TEST_CASE("after exit_at_next a signal ends the process, also if the listener hangs",
          "[sync][termination_signals]") {
  for (const int signal : {SIGINT, SIGTERM}) {
    ChildProcess child{"a process whose listener hangs"};
    child.read_until("ready");
    child.send(SIGTERM);
    CHECK(has(child.read_until("first"), "first"));

    child.send(signal);

    CHECK(child.status() == TerminationSignals::status_of(signal));
  }
}
