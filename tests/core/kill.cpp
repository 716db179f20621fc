// SPDX-License-Identifier: BSL-1.0
#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__unix__)
#include <csignal>
#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace genserver;
using namespace std::chrono_literals;

namespace {

/// Returns the reason with which a request was refused.
template <class Request>
std::optional<ExitReason> reason_of(Request&& request) {
  try {
    request();
  } catch (const ServerGone& gone) {
    return gone.reason();
  }
  return std::nullopt;
}

/// What a State has done, also after its server has ended for everybody.
class Log {
 public:
  void add(const std::string& entry) {
    const std::scoped_lock lock{mutex_};
    entries_.push_back(entry);
  }
  [[nodiscard]] std::vector<std::string> entries() const {
    const std::scoped_lock lock{mutex_};
    return entries_;
  }

 private:
  mutable std::mutex mutex_{};
  std::vector<std::string> entries_{};  // guarded by mutex_
};

using Entries = std::vector<std::string>;

struct Ending {
  explicit Ending(std::shared_ptr<Log> its_log) : log{std::move(its_log)} {}
  void terminate(const ExitReason&) { log->add("terminate"); }
  ~Ending() { log->add("destroyed"); }
  std::shared_ptr<Log> log;
};

/// Hangs at its end until the test lets it go on, and then does what the test says.
struct Hanging {
  enum class In { terminate, destructor };
  struct Plan {
    In in = In::terminate;
    std::function<void()> at_last{};
    Gate entered{};
    Gate left{};
    Log log{};
  };
  explicit Hanging(std::shared_ptr<Plan> its_plan) : plan{std::move(its_plan)} {}
  ~Hanging() {
    if (plan->in == In::destructor) hang();
    plan->log.add("destroyed");
  }
  void terminate(const ExitReason&) {
    if (plan->in != In::terminate) return;
    hang();
    if (plan->at_last) plan->at_last();
  }
  void hang() const {
    plan->entered.open();
    plan->left.wait();
  }
  std::shared_ptr<Plan> plan;
};

bool is_listed(Pid pid) { return snapshot().find(pid).has_value(); }

}  // namespace

TEST_CASE("a killed server has ended when kill returns, without terminate", "[core][kill]") {
  const auto log = std::make_shared<Log>();
  GenServer<Ending> server{{.name = "killed"}, log};

  server.kill();

  CHECK_FALSE(server.is_alive());
  CHECK(server.exit_reason() == ExitReason::killed());
  CHECK(reason_of([&] { server.call([] {}); }) == ExitReason::killed());
  CHECK_FALSE(server.cast([] {}));
  CHECK(eventually([&] { return log->entries() == Entries{"destroyed"}; }));
}

TEST_CASE("a kill does not wait for the handler that runs", "[core][kill]") {
  const ReportLog log;
  GenServer<int> server{{.name = "stuck"}, 0};
  Hold hold{server};

  server.kill();

  CHECK_FALSE(server.is_alive());
  CHECK(server.exit_reason() == ExitReason::killed());
}

TEST_CASE("all callers of a killed server are told at once", "[core][kill]") {
  const ReportLog log;
  GenServer<std::vector<Reply<int>>> server{{.name = "stuck"}};
  auto parked = server.async_call<int>(
      [](std::vector<Reply<int>>& replies, Reply<int> reply) {
        replies.push_back(std::move(reply));
      });
  server.call([] {});
  Gate left;
  Gate entered;
  std::vector<std::thread> callers;
  std::atomic<int> told{0};
  const auto call = [&](auto handler) {
    callers.emplace_back([&, handler] {
      const auto reason = reason_of([&] { server.call([handler] { handler(); }); });
      told += reason == ExitReason::killed() ? 1 : 0;
    });
  };
  call([&] {
    entered.open();
    left.wait();
  });
  entered.wait();
  for (int i = 0; i < 3; ++i) call([] {});
  auto queued = server.async_call([] { return 1; });

  server.kill();
  for (std::thread& caller : callers) caller.join();  // though the gate is still closed

  CHECK(told == 4);
  CHECK(reason_of([&] { queued.get(); }) == ExitReason::killed());
  CHECK(reason_of([&] { parked.get(); }) == ExitReason::killed());
  left.open();
  CHECK(eventually([&] { return !snapshot().find(server.pid()); }));
}

TEST_CASE("a call whose guard does not hold is told of a kill, too", "[core][kill]") {
  const ReportLog log;
  GenServer<int> server{{}, 0};
  Gate tried;
  std::optional<ExitReason> reason;
  const auto guard = [&](const int&) {
    tried.open();
    return false;
  };
  std::thread caller{[&] { reason = reason_of([&] { server.call_when(guard, [] {}); }); }};
  tried.wait();
  Hold hold{server};

  server.kill();
  caller.join();  // though the server is still held

  CHECK(reason == ExitReason::killed());
}

TEST_CASE("a kill gives names back, then tells the callers, then all others", "[core][kill]") {
  struct Step final : ExitWatcher {
    Step(std::shared_ptr<Log> its_log, std::string text)
        : log{std::move(its_log)}, what{std::move(text)} {}
    void on_exit(const ExitedServer&) noexcept override { log->add(what); }
    const std::shared_ptr<Log> log;
    const std::string what;
  };
  const ReportLog reports;
  const auto log = std::make_shared<Log>();
  GenServer<int> server{{}, 0};
  server.call([&] {
    ServerEnd& end = running_server().end();
    end.watchers().add(std::make_shared<Step>(log, "monitors told"));
    end.holders().add(std::make_shared<Step>(log, "names given back"));
  });
  Hold hold{server};
  server.cast([refused = std::shared_ptr<void>{nullptr, [log](void*) { log->add("refused"); }}] {});

  server.kill();

  CHECK(log->entries() == Entries{"names given back", "refused", "monitors told"});
}

TEST_CASE("the timers of a killed server have ended, though its handler goes on", "[core][kill]") {
  const ReportLog log;
  const auto kept = std::make_shared<int>(0);
  GenServer<int> server{{}, 0};
  const Timer before = server.cast_after(1h, [kept] {});
  Hold hold{server};

  server.kill();
  const Timer after = server.cast_after(1h, [kept] {});

  CHECK_FALSE(before.is_active());
  CHECK_FALSE(after.is_active());
  CHECK(kept.use_count() == 1);
}

TEST_CASE("a periodic timer that is killed in its handler does not come again", "[core][kill]") {
  const ReportLog log;
  const auto kept = std::make_shared<int>(0);
  const auto gates = std::make_shared<std::pair<Gate, Gate>>();
  GenServer<int> server{{}, 0};
  const Timer timer = server.cast_every(1ms, [gates, kept] {
    gates->first.open();
    gates->second.wait();
  });
  gates->first.wait();

  server.kill();
  gates->second.open();

  CHECK(eventually([&] { return kept.use_count() == 1; }));
  CHECK_FALSE(timer.is_active());
}

TEST_CASE("the State of a killed server lives until its handler returns", "[core][kill]") {
  const ReportLog reports;
  const auto log = std::make_shared<Log>();
  const auto gates = std::make_shared<std::pair<Gate, Gate>>();
  {
    GenServer<Ending> server{{.name = "stuck"}, log};
    server.cast([gates](Ending& state) {
      gates->first.open();
      gates->second.wait();
      state.log->add("handled");
    });
    gates->first.wait();
    server.kill();
  }
  CHECK(log->entries().empty());

  gates->second.open();

  CHECK(eventually([&] { return log->entries() == Entries{"handled", "destroyed"}; }));
}

TEST_CASE("the State of a killed server lives until everybody has been told", "[core][kill]") {
  const ReportLog reports;
  const auto log = std::make_shared<Log>();
  GenServer<Ending> server{{}, log};
  Hold hold{server};
  const auto tell = [&](void*) {
    hold.let_go();  // and gives who does not wait the time to be first
    for (int i = 0; i < 1000 && log->entries().empty(); ++i) std::this_thread::yield();
    log->add("told");
  };
  server.cast([refused = std::shared_ptr<void>{nullptr, tell}] {});

  server.kill();

  CHECK(eventually([&] { return log->entries().size() == 2; }));
  CHECK(log->entries() == Entries{"told", "destroyed"});
}

TEST_CASE("a killed handler is reported with its stack, and listed until it returns",
          "[core][kill]") {
  const ReportLog log;
  GenServer<int> server{{.name = "stuck"}, 0};
  const auto activity = [&]() -> std::optional<ServerSnapshot::Activity> {
    const Snapshot all = snapshot();
    const auto index = all.find(server.pid());
    return index ? std::optional{all.servers[*index].activity} : std::nullopt;
  };
  {
    Hold hold{server};
    server.kill();

    REQUIRE(log.count(Report::Kind::abandoned) == 1);
    CHECK(log.of(Report::Kind::abandoned)[0].server == "stuck");
    REQUIRE(log.of(Report::Kind::abandoned)[0].stacks.size() == 1);
    CHECK(!log.of(Report::Kind::abandoned)[0].stacks[0].stack.frames.empty());
    CHECK(activity() == ServerSnapshot::Activity::abandoned);
  }

  CHECK(eventually([&] { return !activity(); }));
}

TEST_CASE("the report of a killed handler tells who sent its message, and where", "[core][kill]") {
  const ReportLog log;
  const auto gates = std::make_shared<std::pair<Gate, Gate>>();
  const auto hang = [gates] {
    gates->first.open();
    gates->second.wait();
  };
  GenServer<int> sender{{.name = "sender"}, 0};
  GenServer<int> server{{.name = "stuck"}, 0};
  const unsigned line = __LINE__ + 1;
  sender.call([&] { server.cast(hang); });
  gates->first.wait();

  server.kill();
  gates->second.open();

  const auto reports = log.of(Report::Kind::abandoned);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].site.line == line);
  CHECK(reports[0].client == "sender");
  CHECK(reports[0].client_pid == sender.pid());
}

TEST_CASE("an idle server is killed without a report", "[core][kill]") {
  const ReportLog log;
  GenServer<int> server{{}, 0};

  server.kill();

  CHECK(log.count(Report::Kind::abandoned) == 0);
}

TEST_CASE("a killed handler that waits for another server is let go", "[core][kill]") {
  const ReportLog log;
  GenServer<int> slow{{.name = "slow"}, 0};
  GenServer<int> server{{.name = "waiting"}, 0};
  Hold hold{slow};
  std::atomic<bool> is_calling{false};
  server.cast([&] {
    is_calling = true;
    slow.call([] {});
  });
  CHECK(eventually([&] { return is_calling.load(); }));

  server.kill();

  CHECK_FALSE(server.is_alive());
  CHECK(eventually([&] { return !snapshot().find(server.pid()); }));
}

TEST_CASE("a handler may kill its own server, which ends after it", "[core][kill]") {
  const auto log = std::make_shared<Log>();
  GenServer<Ending> server{{.name = "killed"}, log};

  server.call([&](Ending& state) {
    server.kill();
    state.log->add("went on");
  });
  server.wait();

  CHECK(server.exit_reason() == ExitReason::killed());
  CHECK(log->entries() == Entries{"went on", "destroyed"});
}

TEST_CASE("a handler that kills its own server and leaves by Exit has killed it",
          "[core][kill]") {
  const auto log = std::make_shared<Log>();
  GenServer<Ending> server{{}, log};

  server.cast([&] {
    server.kill();
    throw Exit{ExitReason::normal()};
  });
  server.stop();

  CHECK(server.exit_reason() == ExitReason::killed());
  CHECK(log->entries() == Entries{"destroyed"});
}

TEST_CASE("a server that has ended is not killed any more", "[core][kill]") {
  GenServer<int> server{{}, 0};
  server.stop();

  server.kill();

  CHECK(server.exit_reason() == ExitReason::normal());
}

TEST_CASE("a server that hangs in terminate or its destructor can be killed", "[core][kill]") {
  const ReportLog log;
  const auto plan = std::make_shared<Hanging::Plan>();
  plan->in = GENERATE(Hanging::In::terminate, Hanging::In::destructor);
  GenServer<Hanging> server{{.name = "hanging"}, plan};
  server.request_stop();
  plan->entered.wait();

  server.kill();

  CHECK_FALSE(server.is_alive());
  CHECK(server.exit_reason() == ExitReason::killed());
  CHECK(plan->log.entries().empty());
  plan->left.open();
  CHECK(eventually([&] { return !is_listed(server.pid()); }));
  CHECK(plan->log.entries() == Entries{"destroyed"});
}

TEST_CASE("what terminate throws when it was killed meanwhile changes nothing", "[core][kill]") {
  const ReportLog log;
  const auto plan = std::make_shared<Hanging::Plan>();
  plan->at_last = GENERATE(as<std::function<void()>>{},
                           [] { throw Exit{ExitReason::shutdown("late")}; },
                           [] { throw std::runtime_error{"late"}; });
  GenServer<Hanging> server{{}, plan};
  server.request_stop();
  plan->entered.wait();

  server.kill();
  plan->left.open();

  CHECK(eventually([&] { return !is_listed(server.pid()); }));
  CHECK(server.exit_reason() == ExitReason::killed());
  CHECK(log.count(Report::Kind::crash) == 0);
}

TEST_CASE("a server that hangs in its State's constructor can be killed", "[core][kill]") {
  static std::optional<AnyRef> started;
  static Gate* known = nullptr;
  static Gate* gate = nullptr;
  struct Slow {
    Slow() {
      started = self<Slow>();
      known->open();
      gate->wait();
    }
  };
  const ReportLog log;
  Gate known_gate;
  auto* const kept_gate = new Gate;  // the constructor may be in it for longer than this test
  known = &known_gate;
  gate = kept_gate;
  std::atomic<bool> has_failed{false};
  std::thread starter{[&] {
    try {
      const GenServer<Slow> server{};
    } catch (const StartFailed&) {
      has_failed = true;
    }
  }};
  known_gate.wait();

  started->kill();
  starter.join();

  CHECK(has_failed);
  CHECK(started->exit_reason() == ExitReason::killed());
  const Pid pid = started->pid();
  started.reset();
  gate->open();
  CHECK(eventually([&] { return !snapshot().find(pid); }));
  delete kept_gate;
}

TEST_CASE("a constructor that was killed is cleaned up after when it returns or throws",
          "[core][kill]") {
  struct Plan {
    bool throws = false;
    std::optional<AnyRef> started{};
    Gate entered{};
    Gate left{};
    Log log{};
  };
  struct Slow {
    explicit Slow(std::shared_ptr<Plan> its_plan) : plan{std::move(its_plan)} {
      plan->started = self<Slow>();
      plan->entered.open();
      plan->left.wait();
      if (plan->throws) throw std::runtime_error{"late"};
    }
    ~Slow() { plan->log.add("destroyed"); }
    std::shared_ptr<Plan> plan;
  };
  const ReportLog log;
  const auto plan = std::make_shared<Plan>();
  plan->throws = GENERATE(false, true);
  std::atomic<bool> has_failed{false};
  std::thread starter{[&] {
    has_failed = thrown<StartFailed>([&] { const GenServer<Slow> server{{}, plan}; }).has_value();
  }};
  plan->entered.wait();
  plan->started->kill();
  starter.join();
  CHECK(has_failed);

  plan->left.open();

  CHECK(eventually([&] { return !is_listed(plan->started->pid()); }));
  CHECK(plan->log.entries() == (plan->throws ? Entries{} : Entries{"destroyed"}));
  plan->started.reset();
}

TEST_CASE("an owner made by start is destroyed when the killed handler has returned",
          "[core][kill]") {
  struct Owner : GenServer<int> {
    explicit Owner(std::shared_ptr<Gate> its_gate, std::shared_ptr<std::atomic<bool>> its_end)
        : GenServer{{.name = "owner"}, 0}, gate{std::move(its_gate)}, is_over{std::move(its_end)} {}
    ~Owner() override { *is_over = true; }
    void work(Gate& entered) {
      cast([this, &entered] {
        entered.open();
        gate->wait();
      });
    }
    std::shared_ptr<Gate> gate;
    std::shared_ptr<std::atomic<bool>> is_over;
  };
  const ReportLog log;
  const auto gate = std::make_shared<Gate>();
  const auto is_over = std::make_shared<std::atomic<bool>>(false);
  Gate entered;
  auto owner = start<Owner>(gate, is_over);
  owner->work(entered);
  entered.wait();

  owner->kill();
  owner.reset();
  CHECK_FALSE(*is_over);
  gate->open();

  CHECK(eventually([&] { return is_over->load(); }));
}

TEST_CASE("a call that its caller runs may be killed, too", "[core][kill]") {
  const ReportLog log;
  GenServer<int> server{{.run_calls = RunCalls::on_caller_when_idle}, 0};
  Gate entered;
  Gate left;
  std::optional<ExitReason> reason;
  std::thread caller{[&] {
    reason = reason_of([&] {
      server.call([&] {
        entered.open();
        left.wait();
      });
    });
  }};
  entered.wait();

  server.kill();
  CHECK_FALSE(server.is_alive());
  left.open();
  caller.join();

  CHECK(reason == ExitReason::killed());
  CHECK(eventually([&] { return !snapshot().find(server.pid()); }));
}

TEST_CASE("what a killed handler leaves behind is given back", "[core][kill]") {
  const ReportLog log;
  const auto kept = std::make_shared<int>(0);
  {
    GenServer<int> server{{}, 0};
    const auto gates = std::make_shared<std::pair<Gate, Gate>>();
    server.cast([gates, kept, ref = server.ref()] {
      ref.continue_with([kept] {});
      gates->first.open();
      gates->second.wait();
      reason_of([&] { ref.continue_with([] {}); });
      throw Exit{ExitReason::normal()};
    });
    gates->first.wait();
    for (int i = 0; i < 5; ++i) server.cast([kept] {});
    server.cast_after(1h, [kept] {});
    server.kill();
    gates->second.open();
  }
  CHECK(eventually([&] { return kept.use_count() == 1; }));
}

TEST_CASE("servers are killed at any moment, and every request is answered",
          "[core][kill][.stress]") {
  const ReportLog log;
  for (int round = 0; round < 200; ++round) {
    GenServer<int> server{{.name = "target", .mailbox_capacity = 4}, 0};
    GenServer<int> nested{{.name = "nested"}, 0};
    std::atomic<bool> is_over{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        while (!is_over && !reason_of([&] { server.call([](int& n) { ++n; }); })) {
        }
      });
      threads.emplace_back([&] {
        while (!is_over) {
          try {
            server.async_call([](int& n) { return ++n; }).get();
            nested.call([&] { server.call([](int& n) { ++n; }); });
            server.cast([](int& n) { ++n; });
          } catch (const ServerGone&) {
            return;
          }
        }
      });
    }
    const auto kept = std::make_shared<int>(round);
    threads.emplace_back([&] {
      while (!is_over && !reason_of([&] { server.call([kept](int& n) { n = *kept; }); })) {
      }
    });
    std::thread killer{[&] { server.kill(); }};
    killer.join();
    for (std::thread& thread : threads) thread.join();
    is_over = true;

    CHECK(server.exit_reason() == ExitReason::killed());
  }
}

TEST_CASE("a message that owns its server does not hold up the kill", "[core][kill]") {
  struct Owner : GenServer<int> {
    Owner() : GenServer{{.name = "owner"}, 0} {}
  };
  const ReportLog log;
  const auto gates = std::make_shared<std::pair<Gate, Gate>>();
  auto owner = start<Owner>();
  const ServerRef<int> ref = owner->ref();
  ref.cast([gates] {
    gates->first.open();
    gates->second.wait();
  });
  gates->first.wait();
  ref.cast([owner] {});
  ref.cast_every(std::chrono::hours{1}, [owner] {});
  owner.reset();

  ref.kill();

  CHECK_FALSE(ref.is_alive());
  gates->second.open();
  CHECK(eventually([&] { return !snapshot().find(ref.pid()); }));
}

TEST_CASE("a message that wants its server's end as it goes does not hold up the kill",
          "[core][kill]") {
  const ReportLog log;
  GenServer<int> server{{}, 0};
  Hold hold{server};
  const ServerRef<int> ref = server.ref();
  const auto kill = [ref](void*) { ref.kill(); };
  const auto wait = [ref](void*) { CHECK(thrown<SelfWait>([&] { ref.wait(); })); };
  server.cast([kills = std::shared_ptr<void>{nullptr, kill}] {});
  server.cast([waits = std::shared_ptr<void>{nullptr, wait}] {});

  server.kill();  // destroys the messages

  CHECK(server.exit_reason() == ExitReason::killed());
}

TEST_CASE("a guarded call that is killed and then exits is not tried again", "[core][kill]") {
  const ReportLog log;
  GenServer<int> server{{}, 0};
  const auto gates = std::make_shared<std::pair<Gate, Gate>>();
  std::optional<ExitReason> reason;
  std::thread caller{[&] {
    reason = reason_of([&] {
      server.call_when([](const int& n) { return n == 1; }, [gates] {
        gates->first.open();
        gates->second.wait();
        throw Exit{ExitReason::normal()};
      });
    });
  }};
  server.cast([](int& n) { n = 1; });
  gates->first.wait();

  server.kill();
  caller.join();
  gates->second.open();

  CHECK(reason == ExitReason::killed());
  CHECK(eventually([&] { return !snapshot().find(server.pid()); }));
}

TEST_CASE("a server may be killed by what the guard of one of its calls has called",
          "[core][kill]") {
  GenServer<int> helper{{.name = "helper", .run_calls = RunCalls::on_caller_when_idle}, 0};
  GenServer<int> server{{.name = "guarded"}, 0};

  const auto kill_it = [&](const int&) {
    helper.call([&] { server.kill(); });
    return true;
  };
  server.call_when(kill_it, [] {});  // it goes on, as a handler that kills its own server

  server.ref().wait();
  CHECK(server.exit_reason() == ExitReason::killed());
}

TEST_CASE("the destructor of a killed State may wait for other servers", "[core][kill]") {
  struct Waiting {
    Waiting(const ServerRef<int>& its_other, std::shared_ptr<Log> its_log)
        : other{its_other}, log{std::move(its_log)} {}
    ~Waiting() {
      other.call([] {});
      log->add("destroyed");
    }
    ServerRef<int> other;
    std::shared_ptr<Log> log;
  };
  const ReportLog reports;
  const auto log = std::make_shared<Log>();
  GenServer<int> other{{}, 0};
  GenServer<Waiting> server{{}, other.ref(), log};
  {
    Hold hold{server};
    server.kill();
  }

  CHECK(eventually([&] { return log->entries() == Entries{"destroyed"}; }));
}

#if defined(__unix__)
TEST_CASE("child: a program that aborts on what cannot be killed", "[.child]") {
  std::signal(SIGABRT, SIG_DFL);  // not the test program's
  set_on_unkillable(OnUnkillable::abort);
  GenServer<int> idle{{}, 0};
  idle.kill();  // does not count
  GenServer<int> server{{.name = "stuck"}, 0};
  Hold hold{server};
  server.kill();
}

TEST_CASE("a program may choose to abort when a handler cannot be ended", "[core][kill]") {
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/proc/self/exe", "core_tests", "child: a program that aborts on what cannot be killed",
            nullptr);
    std::_Exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);

  CHECK(WIFSIGNALED(status));
}
#endif
