// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/supervisor.hpp>

#include <genserver/core/snapshot.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>
#include <support/worker.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Lines = Diary::Lines;
using Start = Diary::Start;
using Kind = ChildError::Kind;

std::optional<Kind> refusal(const std::function<void()>& request) {
  const auto error = thrown<ChildError>(request);
  return error ? std::optional{error->kind()} : std::nullopt;
}

std::vector<std::string> ids(const Supervisor& supervisor) {
  std::vector<std::string> found;
  for (const ChildSnapshot& each : supervisor.children()) found.push_back(each.id);
  return found;
}

ChildStatus status_of(const Supervisor& supervisor, const std::string& id) {
  for (const ChildSnapshot& each : supervisor.children()) {
    if (each.id == id) return each.status;
  }
  return ChildStatus::removed;
}

/// Whether a handler of `server` waits for another server.
bool is_waiting(const AnyRef& server) {
  return Waiting::current(server.callee().record()).has_value();
}

/// Returns for whom a handler of `server` waits.
std::string waits_for(const AnyRef& server) {
  const auto edge = Waiting::current(server.callee().record());
  return edge ? edge->target : "";
}

/// Keeps a handler busy until its stop has called another server.
struct Journal {
  void keep_busy(const Child<Worker>& child) {
    child->cast([this] {
      const StopCallback note{self_stop_token(), [this] {
        server.call([](int& stops) { ++stops; });
        is_noted.open();
      }};
      is_busy.open();
      is_noted.wait();
    });
    is_busy.wait();
  }

  GenServer<int> server{{}, 0};
  Gate is_busy{};
  Gate is_noted{};
};

std::string text(const char* words) { return words; }

struct Traps {
  void handle_info(const ExitSignal&) {}
};
class Trapper : public GenServer<Traps> {};

/// A State whose making takes as long as a test likes.
struct Slow {
  Slow(Gate* entered, Gate* left) {
    entered->open();
    left->wait();
  }
};

/// An owner that asks for a change whenever it is made or destroyed.
class Meddler : public GenServer<int> {
 public:
  Meddler(const Supervisor* supervisor, std::atomic<int>* refused)
      : GenServer{{}, 0}, supervisor_{supervisor}, refused_{refused} {
    meddle();
  }
  ~Meddler() override { meddle(); }

 private:
  void meddle() const {
    const bool is_told = supervisor_->children().size() <= 2;
    if (is_told && thrown<SelfWait>([&] { supervisor_->terminate_child("a"); })) ++*refused_;
  }

  const Supervisor* supervisor_;
  std::atomic<int>* refused_;
};

std::shared_ptr<Diary> diary_of() { return std::make_shared<Diary>(); }

}  // namespace

TEST_CASE("children start in order and stop in reverse order", "[otp][supervisor]") {
  const auto diary = diary_of();
  {
    Supervisor supervisor{{},
                          child<Worker>({.id = "a"}, diary, "a"),
                          child<Worker>({.id = "b"}, diary, "b")};
    supervisor.start_child<Worker>({.id = "c"}, diary, "c");

    CHECK(diary->take() == Lines{"+a", "+b", "+c"});
    CHECK(ids(supervisor) == Lines{"a", "b", "c"});
  }
  CHECK(diary->take() == Lines{"-c", "-b", "-a"});
}

TEST_CASE("children are told that they end by shutdown", "[otp][supervisor]") {
  const auto diary = diary_of();
  std::vector<std::string> reasons;
  Supervisor supervisor{};
  const auto worker = supervisor.start_child<Worker>(
      {.id = "a"}, diary, "a",
      [&](const ExitReason& reason) { reasons.push_back(reason.what()); });
  const AnyRef server = worker.ref();

  supervisor.stop(ExitReason::shutdown("upgrade"));

  CHECK(server.exit_reason() == ExitReason::shutdown());
  CHECK(reasons == Lines{"shutdown"});
  CHECK(supervisor.exit_reason() == ExitReason::shutdown("upgrade"));
}

TEST_CASE("a child that does not start takes the supervisor's start with it",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  diary->plan("c", {Start::fails});

  const auto error = thrown<StartFailed>([&] {
    Supervisor supervisor{{.name = "top"},
                          child<Worker>({.id = "a"}, diary, "a"),
                          child<Worker>({.id = "b"}, diary, "b"),
                          child<Worker>({.id = "c"}, diary, "c"),
                          child<Worker>({.id = "d"}, diary, "d")};
  });

  REQUIRE(error);
  CHECK(has(error->what(), "supervisor \"top\": child \"c\" could not be started"));
  CHECK(diary->take() == Lines{"+a", "+b", "!c", "-b", "-a"});
  const auto reports = log.of(Report::Kind::supervisor);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].child == "c");
  CHECK(reports[0].server == "top");
  CHECK(has(reports[0].reason.what(), "c does not start"));
}

TEST_CASE("what a child threw is nested in StartFailed", "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  diary->plan("a", {Start::fails, Start::fails});
  const auto cause_of = [](const auto& start) -> std::string {
    try {
      start();
    } catch (const StartFailed& failed) {
      try {
        std::rethrow_if_nested(failed);
      } catch (const std::runtime_error& cause) {
        return cause.what();
      }
    }
    return "none";
  };
  Supervisor supervisor{};

  CHECK(cause_of([&] { Supervisor{{}, child<Worker>({.id = "a"}, diary, "a")}; }) ==
        "a does not start");
  CHECK(cause_of([&] { supervisor.start_child<Worker>({.id = "a"}, diary, "a"); }) ==
        "a does not start");
}

TEST_CASE("a supervisor whose children are wrongly specified starts none of them",
          "[otp][supervisor]") {
  const auto diary = diary_of();
  const auto first = child<Worker>({.id = "a"}, diary, "a");

  CHECK(refusal([&] { Supervisor{{}, first, first}; }) == Kind::already_present);
  CHECK_THROWS_AS((Supervisor{{}, first, child<Worker>({}, diary, "b")}), InvalidArgument);
  CHECK_THROWS_AS((Supervisor{{.within = 0s}, first}), InvalidArgument);
  CHECK_THROWS_AS(
      (Supervisor{{}, first, child<Worker>({.id = "b", .significant = true}, diary, "b")}),
      InvalidArgument);
  CHECK(diary->take().empty());
}

TEST_CASE("an id can be used once", "[otp][supervisor]") {
  const auto diary = diary_of();
  Supervisor supervisor{};
  const auto a = supervisor.start_child<Worker>({.id = "a"}, diary, "a");
  const auto again = [&] { supervisor.start_child<Worker>({.id = "a"}, diary, "a"); };

  const auto started = thrown<ChildError>(again);
  supervisor.terminate_child("a");
  const auto present = thrown<ChildError>(again);

  REQUIRE(started);
  CHECK(started->kind() == Kind::already_started);
  CHECK(started->holder() != Pid{});
  REQUIRE(present);
  CHECK(present->kind() == Kind::already_present);
  CHECK(present->holder() == Pid{});
  CHECK(diary->take() == Lines{"+a", "-a"});
}

TEST_CASE("a stopped child can be restarted and deleted, a running one cannot",
          "[otp][supervisor]") {
  const auto diary = diary_of();
  Supervisor supervisor{{}, child<Worker>({.id = "a"}, diary, "a")};

  CHECK(refusal([&] { supervisor.restart_child("a"); }) == Kind::running);
  CHECK(refusal([&] { supervisor.delete_child("a"); }) == Kind::running);
  supervisor.terminate_child("a");
  CHECK(status_of(supervisor, "a") == ChildStatus::stopped);
  supervisor.terminate_child("a");  // again: no error
  supervisor.restart_child("a");
  CHECK(status_of(supervisor, "a") == ChildStatus::running);
  supervisor.terminate_child("a");
  supervisor.delete_child("a");
  CHECK(status_of(supervisor, "a") == ChildStatus::removed);
  CHECK(diary->take() == Lines{"+a", "-a", "+a", "-a"});
}

TEST_CASE("what is no child is not found", "[otp][supervisor]") {
  Supervisor supervisor{};

  CHECK(refusal([&] { supervisor.terminate_child("a"); }) == Kind::not_found);
  CHECK(refusal([&] { supervisor.restart_child("a"); }) == Kind::not_found);
  CHECK(refusal([&] { supervisor.delete_child("a"); }) == Kind::not_found);
  CHECK(refusal([&] { static_cast<void>(supervisor.child<Worker>("a")); }) == Kind::not_found);
}

TEST_CASE("a temporary child that is stopped is gone with its specification",
          "[otp][supervisor]") {
  const auto diary = diary_of();
  Supervisor supervisor{
      {}, child<Worker>({.id = "a", .restart = Restart::temporary}, diary, "a")};

  supervisor.terminate_child("a");

  CHECK(supervisor.children().empty());
  CHECK(refusal([&] { supervisor.restart_child("a"); }) == Kind::not_found);
}

TEST_CASE("start_child whose constructor throws leaves no child, and is reported",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  diary->plan("b", {Start::fails});
  Supervisor supervisor{{}, child<Worker>({.id = "a"}, diary, "a")};

  CHECK_THROWS_AS(supervisor.start_child<Worker>({.id = "b"}, diary, "b"), StartFailed);

  CHECK(ids(supervisor) == Lines{"a"});
  CHECK(log.count(Report::Kind::supervisor) == 1);
  supervisor.start_child<Worker>({.id = "b"}, diary, "b");
  CHECK(diary->take() == Lines{"+a", "!b", "+b"});
}

TEST_CASE("restart_child whose constructor throws leaves the child stopped",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  Supervisor supervisor{{.max_restarts = 0}, child<Worker>({.id = "a"}, diary, "a")};
  supervisor.terminate_child("a");
  diary->plan("a", {Start::fails});

  CHECK_THROWS_AS(supervisor.restart_child("a"), StartFailed);

  CHECK(status_of(supervisor, "a") == ChildStatus::stopped);
  supervisor.restart_child("a");
  CHECK(status_of(supervisor, "a") == ChildStatus::running);
}

TEST_CASE("children() and count_children() tell what is there", "[otp][supervisor]") {
  const auto diary = diary_of();
  Supervisor supervisor{{},
                        child<Worker>({.id = "a", .restart = Restart::transient}, diary, "a"),
                        child<Worker>({.id = "b"}, diary, "b"),
                        child<Supervisor>({.id = "c"}, SupervisorOptions{.name = "below"})};
  supervisor.terminate_child("b");

  const std::vector<ChildSnapshot> all = supervisor.children();

  REQUIRE(all.size() == 3);
  CHECK(all[0].restart == Restart::transient);
  CHECK(all[0].server == supervisor.child<Worker>("a").ref());
  CHECK(all[0].type == type_name<Worker>());
  CHECK_FALSE(all[0].is_supervisor);
  CHECK(all[1].status == ChildStatus::stopped);
  CHECK_FALSE(all[1].server);
  CHECK(all[2].is_supervisor);
  CHECK(all[2].server.name() == "below");
  CHECK(supervisor.count_children() == ChildCounts{3, 2, 1, 2});
}

TEST_CASE("a child is found by its id and type", "[otp][supervisor]") {
  Supervisor supervisor{};
  const auto a = supervisor.start_child<GenServer<int>>({.id = "a"}, Options{}, 7);

  CHECK(supervisor.child<GenServer<int>>("a") == a);
  CHECK(supervisor.child<GenServer<int>>("a")->call([](int& n) { return n; }) == 7);
  const auto error =
      thrown<InvalidArgument>([&] { static_cast<void>(supervisor.child<Worker>("a")); });
  REQUIRE(error);
  CHECK(has(error->what(), "GenServer<int>"));
}

TEST_CASE("a supervisor that has ended refuses every request", "[otp][supervisor]") {
  const auto diary = diary_of();
  Supervisor supervisor{{}, child<Worker>({.id = "a"}, diary, "a")};
  const Child<Worker> a = supervisor.child<Worker>("a");
  supervisor.stop();

  CHECK_THROWS_AS(supervisor.start_child<Worker>({.id = "b"}, diary, "b"), ServerGone);
  CHECK_THROWS_AS(supervisor.terminate_child("a"), ServerGone);
  CHECK_THROWS_AS(supervisor.restart_child("a"), ServerGone);
  CHECK_THROWS_AS(supervisor.delete_child("a"), ServerGone);
  CHECK_THROWS_AS(supervisor.children(), ServerGone);
  CHECK_THROWS_AS(supervisor.count_children(), ServerGone);
  CHECK(a.status() == ChildStatus::removed);
  CHECK_FALSE(a.wait_until_running(1h));
}

TEST_CASE("an ignored child keeps its specification, unless it is temporary",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  for (const char* const id : {"a", "b", "c", "d", "e"}) diary->plan(id, {Start::is_ignored});
  Supervisor supervisor{
      {},
      child<Worker>({.id = "a"}, diary, "a"),
      child<Worker>({.id = "b", .restart = Restart::temporary}, diary, "b")};

  supervisor.start_child<Worker>({.id = "c"}, diary, "c");
  supervisor.start_child<Worker>({.id = "d", .restart = Restart::transient}, diary, "d");
  const auto e =
      supervisor.start_child<Worker>({.id = "e", .restart = Restart::temporary}, diary, "e");

  CHECK(ids(supervisor) == Lines{"a", "c", "d"});
  CHECK(supervisor.count_children().active == 0);
  CHECK(e.status() == ChildStatus::removed);
  CHECK(log.count(Report::Kind::supervisor) == 0);
  supervisor.restart_child("c");
  CHECK(status_of(supervisor, "c") == ChildStatus::running);
}

TEST_CASE("a child that is ignored when it is restarted stays stopped", "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  Supervisor supervisor{{}, child<Worker>({.id = "a"}, diary, "a")};
  supervisor.terminate_child("a");
  diary->plan("a", {Start::is_ignored, Start::succeeds, Start::is_ignored});

  supervisor.restart_child("a");
  CHECK(status_of(supervisor, "a") == ChildStatus::stopped);
  supervisor.restart_child("a");
  end(supervisor.child<Worker>("a").ref(), Ends::with_exception);
  CHECK(status_of(supervisor, "a") == ChildStatus::stopped);
}

TEST_CASE("a restarted supervisor has its static children again, but not the others",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  Supervisor top{{},
                 child<Supervisor>({.id = "below"}, SupervisorOptions{.name = "below"},
                                   child<Worker>({.id = "a"}, diary, "a"))};
  const Child<Supervisor> below = top.child<Supervisor>("below");
  below->start_child<Worker>({.id = "b"}, diary, "b");
  below->terminate_child("a");

  end(below.ref(), Ends::with_shutdown);
  REQUIRE(below.wait_until_running(10s));

  CHECK(ids(*below.lock()) == Lines{"a"});
  CHECK(diary->take() == Lines{"+a", "+b", "-a", "-b", "+a"});
}

TEST_CASE("a supervisor that gives up is restarted by the one above, until that gives up too",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  Supervisor top{{.max_restarts = 1},
                 child<Worker>({.id = "x"}, diary, "x"),
                 child<Supervisor>({.id = "below"}, SupervisorOptions{.max_restarts = 0},
                                   std::vector{child<Worker>({.id = "a"}, diary, "a")})};
  const Child<Supervisor> below = top.child<Supervisor>("below");
  const auto crash = [&] {
    const auto supervisor = below->ref();
    end(below->child<Worker>("a").ref(), Ends::with_exception);
    supervisor.wait();
    CHECK(supervisor.exit_reason() == ExitReason::shutdown());
  };

  crash();
  CHECK(ids(top) == Lines{"x", "below"});
  crash();
  top.wait();

  CHECK(top.exit_reason() == ExitReason::shutdown());
  CHECK(diary->take() == Lines{"+x", "+a", "-a", "+a", "-a", "-x"});
}

TEST_CASE("a supervisor may be made with start", "[otp][supervisor]") {
  const auto diary = diary_of();
  auto supervisor = start<Supervisor>(SupervisorOptions{.name = "top"},
                                      child<Worker>({.id = "a"}, diary, "a"));

  CHECK(supervisor->name() == "top");
  supervisor.reset();
  CHECK(diary->take() == Lines{"+a", "-a"});
}

TEST_CASE("an exit signal ends a supervisor and its children", "[otp][supervisor]") {
  const auto diary = diary_of();
  Supervisor supervisor{{}, child<Worker>({.id = "a"}, diary, "a")};
  GenServer<int> linked{{}, 0};

  supervisor.link(linked);
  linked.exit(ExitReason::shutdown());  // of another server: it goes on
  linked.wait();
  supervisor.exit(ExitReason::normal());
  CHECK(ids(supervisor) == Lines{"a"});
  supervisor.exit(ExitReason::shutdown("enough"));
  supervisor.wait();

  CHECK(supervisor.exit_reason() == ExitReason::shutdown("enough"));
  CHECK(diary->take() == Lines{"+a", "-a"});
}

TEST_CASE("a killed supervisor takes its children with it", "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  Supervisor top{{},
                 child<Worker>({.id = "a"}, diary, "a"),
                 child<Supervisor>({.id = "below"}, SupervisorOptions{},
                                   child<Worker>({.id = "b"}, diary, "b"))};
  const AnyRef a = top.child<Worker>("a").ref();
  const AnyRef below = top.child<Supervisor>("below").ref();
  const AnyRef b = top.child<Supervisor>("below")->child<Worker>("b").ref();

  top.kill();
  for (const AnyRef& each : {a, below, b}) each.wait();

  CHECK(a.exit_reason() == ExitReason::killed());
  CHECK(below.exit_reason() == ExitReason::killed());
  CHECK(b.exit_reason()->is_abnormal() == (b.exit_reason() == ExitReason::killed()));
  CHECK(eventually([&] { return !top.is_alive(); }));
}

TEST_CASE("a supervisor killed while a child starts takes all with it, that one at last",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  Gate entered;
  Gate left;
  auto supervisor = start<Supervisor>();
  const auto a = supervisor->start_child<Worker>({.id = "a"}, diary, "a");
  const AnyRef server = a.ref();
  std::optional<ServerGone> gone;
  std::thread starter{[&] {
    gone = thrown<ServerGone>([&] {
      supervisor->start_child<GenServer<Slow>>({.id = "slow"}, Options{}, &entered, &left);
    });
  }};
  entered.wait();

  supervisor->kill();
  starter.join();
  server.wait();
  CHECK(gone);
  CHECK(server.exit_reason() == ExitReason::killed());
  CHECK_FALSE(a.wait_until_running(1h));
  left.open();
  supervisor.reset();
  CHECK(eventually([&] { return a.status() == ChildStatus::removed; }));
}

TEST_CASE("who waits for a child learns that its supervisor was killed in a handler",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  auto supervisor = start<Supervisor>();
  const auto a = supervisor->start_child<Worker>({.id = "a"}, diary, "a");
  supervisor->terminate_child("a");
  Hold hold{*supervisor};
  GenServer<int> waiting{{}, 0};

  Future<bool> is_running = waiting.async_call([a] { return a.wait_until_running(1h); });
  REQUIRE(eventually([&] { return is_waiting(waiting); }));
  supervisor->kill();

  CHECK_FALSE(is_running.get());
}

TEST_CASE("a supervisor may be dropped by a handler of its own child", "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  std::vector<std::string> reasons;
  auto supervisor = start<Supervisor>();
  const AnyRef top = *supervisor;
  supervisor->start_child<Worker>({.id = "x"}, diary, "x");
  const auto a = supervisor->start_child<Worker>(
      {.id = "a", .shutdown = Shutdown::infinity()}, diary, "a",
      [&](const ExitReason& reason) { reasons.push_back(reason.what()); });
  const AnyRef server = a.ref();

  a->cast([&] { supervisor.reset(); });
  server.wait();

  CHECK(top.exit_reason() == ExitReason::normal());
  CHECK(server.exit_reason() == ExitReason::shutdown());
  CHECK(reasons == Lines{"shutdown"});
  CHECK(diary->take() == Lines{"+x", "+a", "-x", "-a"});
}

TEST_CASE("a child that waits for its supervisor when that stops it is interrupted",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  Supervisor supervisor{};
  const auto a =
      supervisor.start_child<Trapper>({.id = "a", .shutdown = Shutdown::infinity()});
  a->trap_exits(GENERATE(true, false));
  const AnyRef server = a.ref();
  Hold hold{supervisor};

  Future<void> stopped =
      supervisor.async_call([](SupervisorState& state) { state.terminate_child(text("a")); });
  a->cast([&] { static_cast<void>(supervisor.count_children()); });
  REQUIRE(eventually([&] { return is_waiting(server); }));
  hold.let_go();
  stopped.get();

  CHECK(server.exit_reason() == ExitReason::shutdown());
  CHECK(log.count(Report::Kind::supervisor) == 0);
  CHECK(log.count(Report::Kind::deadlock) == 0);
}

TEST_CASE("a child whose wait for its supervisor cannot be interrupted is killed",
          "[otp][supervisor]") {
  const ReportLog log;
  Supervisor supervisor{};
  const auto a =
      supervisor.start_child<Trapper>({.id = "a", .shutdown = Shutdown::infinity()});
  const AnyRef server = a.ref();
  GenServer<int> between{{}, 0};
  Hold hold{supervisor};

  Future<void> stopped =
      supervisor.async_call([](SupervisorState& state) { state.terminate_child(text("a")); });
  a->cast([&] { between.call([&] { static_cast<void>(supervisor.count_children()); }); });
  REQUIRE(eventually([&] { return is_waiting(server) && is_waiting(between); }));
  hold.let_go();
  stopped.get();

  CHECK(server.exit_reason() == ExitReason::killed());
  const auto reports = log.of(Report::Kind::supervisor);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].outcome == "it waited for its supervisor, and was killed");
}

TEST_CASE("a child that calls its supervisor as it starts or ends gets Deadlock",
          "[otp][supervisor]") {
  const ReportLog log;
  const auto diary = diary_of();
  struct Asking {
    explicit Asking(const Supervisor* of) { static_cast<void>(of->count_children()); }
  };
  Supervisor supervisor{};
  std::optional<Deadlock> in_terminate;
  const auto ask = [&](const ExitReason&) {
    in_terminate = thrown<Deadlock>([&] { static_cast<void>(supervisor.children()); });
  };
  const Supervisor* const own = &supervisor;

  CHECK_THROWS_AS(supervisor.start_child<GenServer<Asking>>({.id = "a"}, Options{}, own),
                  StartFailed);
  supervisor.start_child<Worker>({.id = "b"}, diary, "b", ask);
  supervisor.terminate_child("b");

  CHECK(in_terminate);
  CHECK(ids(supervisor) == Lines{"b"});
  CHECK(log.count(Report::Kind::deadlock) == 2);
}

TEST_CASE("a child that calls its supervisor as it ends gets Deadlock, whatever its end has run",
          "[otp][supervisor]") {
  const ReportLog log;
  Journal journal;
  Supervisor supervisor{};
  std::optional<Deadlock> in_terminate;
  const auto ask = [&](const ExitReason&) {
    // Who stops it has called the journal, and then waits.
    if (!eventually([&] { return waits_for(supervisor) == "b"; })) return;
    in_terminate = thrown<Deadlock>([&] { static_cast<void>(supervisor.children()); });
  };
  journal.keep_busy(supervisor.start_child<Worker>(
      {.id = "b", .shutdown = Shutdown::infinity()}, diary_of(), "b", ask));

  supervisor.terminate_child("b");

  CHECK(in_terminate);
  CHECK(log.count(Report::Kind::supervisor) == 0);
}

TEST_CASE("an owner that changes the children as it is made or destroyed gets SelfWait",
          "[otp][supervisor]") {
  const ReportLog log;
  std::atomic<int> refused{0};
  Supervisor supervisor{};
  const Supervisor* const own = &supervisor;

  supervisor.start_child<Meddler>({.id = "a"}, own, &refused);
  supervisor.terminate_child("a");
  supervisor.restart_child("a");
  supervisor.terminate_child("a");
  supervisor.delete_child("a");

  CHECK(refused == 4);
  CHECK(supervisor.children().empty());
}

TEST_CASE("a thousand children start and stop", "[otp][supervisor][stress][.stress]") {
  std::atomic<int> ended{0};
  struct Counted {
    std::atomic<int>* ended;
    void terminate(const ExitReason&) const { ++*ended; }
  };
  {
    Supervisor supervisor{};
    for (int n = 0; n < 1000; ++n) {
      supervisor.start_child<GenServer<Counted>>({.id = std::to_string(n)}, Options{}, &ended);
    }
    CHECK(supervisor.count_children() == ChildCounts{1000, 1000, 0, 1000});
    CHECK(supervisor.child<GenServer<Counted>>("999").is_running());
  }

  CHECK(ended == 1000);
}

TEST_CASE("a class may derive from a supervisor, and be a child itself", "[otp][supervisor]") {
  struct Number : GenServer<int> {
    explicit Number(int value = 21) : GenServer{{.name = "number"}, value} {}
    int value() const {
      return call([](int& n) { return n; });
    }
  };
  struct Numbers : Supervisor {
    explicit Numbers(int first)
        : Supervisor{{.name = "numbers"}, child<Number>({.id = "a"}, first),
                     child<Number>({.id = "b"})} {}
    int sum() const { return child<Number>("a")->value() + child<Number>("b")->value(); }
  };
  Supervisor top{{.name = "top"}, child<Numbers>({.id = "numbers"}, 20)};

  CHECK(top.child<Numbers>("numbers")->sum() == 41);
  CHECK(top.children().at(0).is_supervisor);
  CHECK(top.count_children() == ChildCounts{1, 1, 1, 0});
}

namespace {

bool snapshot_waits_for(const AnyRef& waiter, const AnyRef& target) {
  for (const ServerSnapshot& each : snapshot().servers) {
    if (each.pid != waiter.pid() || !each.waits_for) continue;
    return each.waits_for->target_pid == target.pid();
  }
  return false;
}

}  // namespace

TEST_CASE("a child's destructor may call others, also when its supervisor was killed",
          "[otp][supervisor]") {
  struct Closing {
    Gate* entered;
    Gate* left;
    void terminate(const ExitReason&) const {
      entered->open();
      left->wait();
    }
  };
  struct Session : GenServer<Closing> {
    Session(GenServer<int>* of, Gate* entered, Gate* left)
        : GenServer{{.name = "session"}, entered, left}, directory{of} {}
    ~Session() override {
      directory->call([](int& sessions) { --sessions; });
    }
    GenServer<int>* directory;
  };
  const ReportLog log;
  Gate entered;
  Gate left;
  GenServer<int> directory{{.name = "directory"}, 1};
  Supervisor supervisor;
  supervisor.start_child<Session>({.id = "a"}, &directory, &entered, &left);
  auto stopped = supervisor.async_call([](SupervisorState& state) {
    state.terminate_child(std::string{"a"});
  });

  entered.wait();
  supervisor.kill();
  left.open();

  CHECK_THROWS_AS(stopped.get(), ServerGone);
  CHECK(eventually([&] { return directory.call([](int& sessions) { return sessions == 0; }); }));
}

TEST_CASE("a child that waited for its supervisor may still be told of the deadlock",
          "[otp][supervisor]") {
  struct Asking {
    Supervisor* supervisor;
    bool* is_told;
    void terminate(const ExitReason&) const {
      try {
        static_cast<void>(supervisor->count_children());
      } catch (const Deadlock&) {
        *is_told = true;
      }
    }
  };
  const ReportLog log;
  bool is_told = false;
  Supervisor supervisor;
  const auto child =
      supervisor.start_child<GenServer<Asking>>({.id = "a"}, Options{}, &supervisor, &is_told);
  const ServerRef<Asking> server = child.ref();
  Gate queued;
  supervisor.cast([&](SupervisorState& state) {
    queued.wait();
    state.terminate_child(std::string{"a"});
  });

  server.cast([](Asking& state) { static_cast<void>(state.supervisor->children()); });
  REQUIRE(eventually([&] { return snapshot_waits_for(server, supervisor); }));
  queued.open();
  server.wait();

  CHECK(is_told);
  CHECK(server.exit_reason() == ExitReason::shutdown());
}
