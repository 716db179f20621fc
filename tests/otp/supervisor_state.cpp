// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/supervisor_state.hpp>

#include <genserver/otp/supervisor.hpp>
#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>
#include <support/worker.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Lines = Diary::Lines;
using Start = Diary::Start;
using Kind = ChildError::Kind;

/// A supervisor of workers that are called "a", "b", ...
struct Tree {
  explicit Tree(SupervisorOptions options, std::vector<Restart> restarts = {},
                std::optional<Shutdown> shutdown = {}) {
    std::vector<ChildDefinition> children;
    char name = 'a';
    for (const Restart restart : restarts) {
      const std::string id(1, name++);
      const bool significant = options.auto_shutdown != AutoShutdown::never &&
                               restart != Restart::permanent;
      children.push_back(child<Worker>(
          {.id = id, .restart = restart, .shutdown = shutdown, .significant = significant}, diary,
          id));
    }
    supervisor = start<Supervisor>(std::move(options), std::move(children));
    diary->take();
  }

  /// Lets a child end by itself, and the supervisor see that.
  void end(const std::string& id, Ends how) {
    ::end(supervisor->child<Worker>(id).ref(), how);
    see();
  }
  /// Waits until the supervisor has handled what has come so far, or has ended.
  void see() const {
    try {
      static_cast<void>(supervisor->children());
    } catch (const ServerGone&) {
      supervisor->wait();
    }
  }
  /// Returns "a b(stopped)".
  [[nodiscard]] std::string children() const {
    std::string text;
    for (const ChildSnapshot& each : supervisor->children()) {
      text += (text.empty() ? "" : " ") + each.id;
      if (each.status == ChildStatus::running) continue;
      text += "(" + std::string{to_string(each.status)} + ")";
    }
    return text;
  }
  std::optional<ExitReason> ended() const { return supervisor->exit_reason(); }

  ReportLog log{};
  std::shared_ptr<Diary> diary = std::make_shared<Diary>();
  std::shared_ptr<Supervisor> supervisor{};
};

using Statuses = std::vector<ChildStatus>;
Statuses statuses(const SupervisorState& state) {
  Statuses found;
  for (const ChildSnapshot& each : state.children()) found.push_back(each.status);
  return found;
}

constexpr Restart permanent = Restart::permanent;
constexpr Restart transient = Restart::transient;
constexpr Restart temporary = Restart::temporary;

}  // namespace

TEST_CASE("one_for_one restarts the child that has ended, and no other",
          "[otp][supervisor_state]") {
  Tree tree{{.strategy = Strategy::one_for_one}, {permanent, permanent, permanent}};
  const AnyRef a = tree.supervisor->child<Worker>("a").ref();

  tree.end("b", Ends::with_exception);

  CHECK(tree.diary->take() == Lines{"-b", "+b"});
  CHECK(tree.supervisor->child<Worker>("a").ref() == a);
  CHECK(tree.children() == "a b c");
}

TEST_CASE("one_for_all stops the others in reverse order and starts all in order",
          "[otp][supervisor_state]") {
  Tree tree{{.strategy = Strategy::one_for_all}, {permanent, permanent, permanent}};

  tree.end("b", Ends::with_exception);

  CHECK(tree.diary->take() == Lines{"-b", "-c", "-a", "+a", "+b", "+c"});
}

TEST_CASE("rest_for_one restarts those after the one that has ended, too",
          "[otp][supervisor_state]") {
  Tree tree{{.strategy = Strategy::rest_for_one}, {permanent, permanent, permanent, permanent}};
  const AnyRef a = tree.supervisor->child<Worker>("a").ref();

  tree.end("b", Ends::with_exception);

  CHECK(tree.diary->take() == Lines{"-b", "-d", "-c", "+b", "+c", "+d"});
  CHECK(tree.supervisor->child<Worker>("a").ref() == a);
}

TEST_CASE("a temporary child is not restarted with the others, but removed",
          "[otp][supervisor_state]") {
  const Strategy strategy = GENERATE(Strategy::one_for_all, Strategy::rest_for_one);
  Tree tree{{.strategy = strategy}, {permanent, temporary, transient}};

  tree.end("a", Ends::with_exception);

  CHECK(tree.diary->take() == Lines{"-a", "-c", "-b", "+a", "+c"});
  CHECK(tree.children() == "a c");
}

TEST_CASE("a child that was stopped is started again when all are", "[otp][supervisor_state]") {
  const Strategy strategy = GENERATE(Strategy::one_for_all, Strategy::rest_for_one);
  Tree tree{{.strategy = strategy}, {permanent, permanent, permanent}};
  tree.supervisor->terminate_child("b");
  tree.supervisor->terminate_child("c");
  tree.diary->take();

  tree.end("a", Ends::with_exception);

  CHECK(tree.diary->take() == Lines{"-a", "+a", "+b", "+c"});
}

TEST_CASE("the restart of a child depends on how it has ended", "[otp][supervisor_state]") {
  const Ends how =
      GENERATE(Ends::normally, Ends::with_shutdown, Ends::with_exception, Ends::killed);
  const Strategy strategy =
      GENERATE(Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one);
  const bool is_abnormal = how == Ends::with_exception || how == Ends::killed;
  Tree tree{{.strategy = strategy, .max_restarts = 9}, {permanent, transient, temporary}};

  tree.end("c", how);
  CHECK(tree.children() == "a b");
  tree.end("b", how);
  CHECK(tree.children() == (is_abnormal ? "a b" : "a b(stopped)"));
  tree.end("a", how);
  CHECK(has(tree.children(), "a b"));
  CHECK_FALSE(tree.ended());
}

TEST_CASE("more restarts than max_restarts end the supervisor", "[otp][supervisor_state]") {
  const unsigned most = GENERATE(0U, 1U, 3U);
  Tree tree{{.max_restarts = most}, {permanent, permanent}};

  for (unsigned n = 0; n < most; ++n) {
    tree.end("a", Ends::with_exception);
    REQUIRE_FALSE(tree.ended());
  }
  tree.diary->take();
  tree.end("a", Ends::with_exception);

  CHECK(tree.ended() == ExitReason::shutdown());
  CHECK(tree.diary->take() == Lines{"-a", "-b"});
  const auto reports = tree.log.of(Report::Kind::supervisor);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].child == "a");
  CHECK(reports[0].reason.what() == "exception: crashed");
}

TEST_CASE("a supervisor that gives up stops the others in reverse order",
          "[otp][supervisor_state]") {
  const Strategy strategy =
      GENERATE(Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one);
  Tree tree{{.strategy = strategy, .max_restarts = 0}, {permanent, permanent, permanent}};

  tree.end("b", Ends::killed);

  CHECK(tree.ended() == ExitReason::shutdown());
  CHECK(tree.diary->take() == Lines{"-b", "-c", "-a"});
}

TEST_CASE("restarts that are long ago do not count", "[otp][supervisor_state]") {
  Tree tree{{.max_restarts = 0, .within = 1ns}, {permanent}};
  tree.end("a", Ends::with_exception);
  CHECK(tree.ended());  // the first is too many

  Tree other{{.max_restarts = 1, .within = 1ns}, {permanent}};
  for (int n = 0; n < 5; ++n) other.end("a", Ends::with_exception);
  CHECK_FALSE(other.ended());
}

TEST_CASE("a failing restart counts, and is tried again", "[otp][supervisor_state]") {
  Tree tree{{.max_restarts = 5}, {permanent}};
  tree.diary->plan("a", {Start::fails, Start::fails, Start::fails, Start::fails});

  tree.end("a", Ends::with_exception);
  REQUIRE(tree.supervisor->child<Worker>("a").wait_until_running(10s));
  CHECK(tree.diary->take() == Lines{"-a", "!a", "!a", "!a", "!a", "+a"});
  CHECK(tree.log.count(Report::Kind::supervisor) == 4);
  tree.end("a", Ends::with_exception);

  CHECK(tree.ended() == ExitReason::shutdown());
}

TEST_CASE("a child that cannot be restarted ends the supervisor", "[otp][supervisor_state]") {
  const Strategy strategy =
      GENERATE(Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one);
  Tree tree{{.strategy = strategy, .max_restarts = 2}, {permanent, permanent}};
  tree.diary->plan("b", std::vector<Start>(9, Start::fails));

  ::end(tree.supervisor->child<Worker>("b").ref(), Ends::with_exception);
  tree.supervisor->wait();

  CHECK(tree.ended() == ExitReason::shutdown());
  const Lines done = tree.diary->take();
  CHECK(std::count(done.begin(), done.end(), "!b") == 2);
  CHECK(done.back() == "-a");
}

TEST_CASE("a sibling that cannot be restarted is tried again, with all of its group",
          "[otp][supervisor_state]") {
  Tree tree{{.strategy = Strategy::one_for_all}, {permanent, permanent, permanent}};
  tree.diary->plan("c", {Start::fails});

  tree.end("a", Ends::with_exception);
  REQUIRE(tree.supervisor->child<Worker>("c").wait_until_running(10s));

  CHECK(tree.diary->take() ==
        Lines{"-a", "-c", "-b", "+a", "+b", "!c", "-b", "-a", "+a", "+b", "+c"});
}

TEST_CASE("in rest_for_one a sibling that cannot be restarted is tried again with those after it",
          "[otp][supervisor_state]") {
  Tree tree{{.strategy = Strategy::rest_for_one}, {permanent, permanent, permanent, permanent}};
  tree.diary->plan("c", {Start::fails});

  tree.end("b", Ends::with_exception);
  REQUIRE(tree.supervisor->child<Worker>("d").wait_until_running(10s));

  CHECK(tree.diary->take() == Lines{"-b", "-d", "-c", "+b", "!c", "+c", "+d"});
}

TEST_CASE("a child whose restart is held up by an earlier sibling's is stopped until then",
          "[otp][supervisor_state]") {
  Tree tree{{.strategy = Strategy::one_for_all}, {permanent, permanent}};
  tree.diary->plan("a", {Start::fails});
  const AnyRef b = tree.supervisor->child<Worker>("b").ref();
  Future<Statuses> seen;
  {
    Hold hold{*tree.supervisor};
    b.kill();
    seen = tree.supervisor->async_call([](SupervisorState& state) {  // before the restart of a
      const Statuses before = statuses(state);
      state.terminate_child(std::string{"a"});  // calls it off
      return before;
    });
  }

  CHECK(seen.get() == Statuses{ChildStatus::restarting, ChildStatus::stopped});
  CHECK(tree.children() == "a(stopped) b(stopped)");
  tree.supervisor->restart_child("b");
  CHECK(tree.children() == "a(stopped) b");
}

TEST_CASE("a supervisor that tries a restart again and again serves others meanwhile",
          "[otp][supervisor_state]") {
  Tree tree{{.max_restarts = 1000000, .within = 1h}, {permanent, permanent}};
  tree.diary->plan("a", std::vector<Start>(1000000, Start::fails));
  const auto restart = [&] { tree.supervisor->restart_child("a"); };
  const auto delete_it = [&] { tree.supervisor->delete_child("a"); };
  const auto start_it = [&] {
    tree.supervisor->start_child<Worker>({.id = "a"}, tree.diary, "a");
  };

  tree.end("a", Ends::with_exception);

  CHECK(tree.children() == "a(restarting) b");
  CHECK(thrown<ChildError>(restart)->kind() == Kind::restarting);
  CHECK(thrown<ChildError>(delete_it)->kind() == Kind::restarting);
  CHECK(thrown<ChildError>(start_it)->kind() == Kind::already_present);
  tree.supervisor->start_child<Worker>({.id = "c"}, tree.diary, "c");
  CHECK(tree.supervisor->count_children() == ChildCounts{3, 2, 0, 3});
  tree.supervisor->terminate_child("a");  // called off
  CHECK(tree.children() == "a(stopped) b c");
  tree.diary->plan("a", {});
  restart();
  CHECK(tree.children() == "a b c");
}

TEST_CASE("a supervisor that tries a restart again and again can be stopped",
          "[otp][supervisor_state]") {
  Tree tree{{.max_restarts = 1000000, .within = 1h}, {permanent, permanent}};
  tree.diary->plan("a", std::vector<Start>(1000000, Start::fails));
  tree.end("a", Ends::with_exception);

  tree.supervisor->stop();

  CHECK(tree.ended() == ExitReason::normal());
  CHECK(tree.diary->take().back() == "-b");
}

TEST_CASE("a child that never had a server may fail to restart, too", "[otp][supervisor_state]") {
  Tree tree{{.strategy = Strategy::one_for_all, .max_restarts = 1}, {permanent}};
  tree.diary->plan("b", {Start::is_ignored, Start::fails});
  tree.supervisor->start_child<Worker>({.id = "b"}, tree.diary, "b");
  const AnyRef a = tree.supervisor->child<Worker>("a").ref();
  Future<std::optional<ChildError>> refused;
  {
    Hold hold{*tree.supervisor};
    a.kill();
    refused = tree.supervisor->async_call([](SupervisorState& state) {
      const auto b = child<GenServer<int>>({.id = "b"});
      return thrown<ChildError>([&] { state.start_child(b); });
    });
  }
  tree.supervisor->wait();

  CHECK(refused.get()->kind() == Kind::already_present);
  CHECK(tree.ended() == ExitReason::shutdown());
  CHECK(tree.log.of(Report::Kind::supervisor).back().reason == ExitReason::no_server());
}

TEST_CASE("with a back-off a child is restarted later, and can be stopped until then",
          "[otp][supervisor_state]") {
  Tree tree{{.back_off = BackOff{.first = 1h, .longest = 1h}}, {permanent, permanent}};

  tree.end("a", Ends::with_exception);
  tree.end("b", Ends::with_exception);

  CHECK(tree.children() == "a(restarting) b(restarting)");
  CHECK(tree.supervisor->count_children() == ChildCounts{2, 0, 0, 2});
  tree.supervisor->terminate_child("a");
  tree.supervisor->restart_child("a");
  CHECK(tree.children() == "a b(restarting)");
  tree.supervisor->stop();  // does not wait for the restart of b
  CHECK(tree.diary->take() == Lines{"-a", "-b", "+a", "-a"});
}

TEST_CASE("after the back-off all children of the group are there again",
          "[otp][supervisor_state]") {
  Tree tree{{.strategy = Strategy::one_for_all,
             .back_off = BackOff{.first = 1ms, .longest = 1ms}},
            {permanent, permanent, permanent}};

  tree.end("b", Ends::with_exception);
  REQUIRE(tree.supervisor->child<Worker>("c").wait_until_running(10s));

  CHECK(tree.diary->take() == Lines{"-b", "-c", "-a", "+a", "+b", "+c"});
  CHECK(tree.children() == "a b c");
}

TEST_CASE("who was started during a back-off is not started again", "[otp][supervisor_state]") {
  Tree tree{{.strategy = Strategy::one_for_all,
             .back_off = BackOff{.first = 100ms, .longest = 100ms, .jitter = 0}},
            {permanent, permanent}};

  tree.end("a", Ends::with_exception);
  tree.supervisor->call([](SupervisorState& state) {  // unless the back-off is over already
    if (statuses(state)[1] == ChildStatus::stopped) state.restart_child("b");
  });
  tree.supervisor->start_child<Worker>({.id = "c"}, tree.diary, "c");
  REQUIRE(tree.supervisor->child<Worker>("a").wait_until_running(10s));

  CHECK(tree.children() == "a b c");
  const Lines done = tree.diary->take();
  CHECK(std::count(done.begin(), done.end(), "+b") == 1);
  CHECK(std::count(done.begin(), done.end(), "+c") == 1);
}

TEST_CASE("an old plan to restart a child does nothing any more", "[otp][supervisor_state]") {
  Tree tree{{.max_restarts = 9, .back_off = BackOff{.first = 20ms, .longest = 1h, .factor = 1e6}},
            {permanent}};
  tree.end("a", Ends::with_exception);
  tree.supervisor->terminate_child("a");
  tree.supervisor->restart_child("a");
  tree.end("a", Ends::with_exception);  // planned again, in hours

  GenServer<int> clock{{}, 0};
  Gate rung;
  clock.cast_after(100ms, [&] { rung.open(); });
  rung.wait();

  CHECK(tree.children() == "a(restarting)");
  CHECK(tree.diary->take() == Lines{"-a", "+a", "-a"});
}

TEST_CASE("a child that does not end in time is killed and reported", "[otp][supervisor_state]") {
  Tree tree{{.name = "top"}, {permanent}, Shutdown{1ms}};
  const Child<Worker> a = tree.supervisor->child<Worker>("a");
  const AnyRef server = a.ref();
  Hold hold{*a.lock()};

  tree.supervisor->terminate_child("a");

  CHECK(server.exit_reason() == ExitReason::killed());
  CHECK(tree.children() == "a(stopped)");
  const auto reports = tree.log.of(Report::Kind::supervisor);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].child == "a");
  CHECK(reports[0].outcome == "it did not end in time, and was killed");
  CHECK(tree.log.count(Report::Kind::abandoned) == 1);
  CHECK(tree.diary->take().empty());  // its State is still in use
}

TEST_CASE("brutal_kill does not wait, and calls no terminate", "[otp][supervisor_state]") {
  Tree tree{{}};
  std::atomic<int> terminated{0};
  const auto a = tree.supervisor->start_child<Worker>(
      {.id = "a", .shutdown = Shutdown::brutal_kill()}, tree.diary, "a",
      [&](const ExitReason&) { ++terminated; });
  const AnyRef server = a.ref();
  const bool is_busy = GENERATE(false, true);
  std::optional<Hold> hold;
  if (is_busy) hold.emplace(*a.lock());

  tree.supervisor->terminate_child("a");

  CHECK(server.exit_reason() == ExitReason::killed());
  CHECK(tree.log.count(Report::Kind::supervisor) == 0);
  hold.reset();
  CHECK(eventually([&] { return tree.diary->take() != Lines{}; }));
  CHECK(terminated == 0);
}

TEST_CASE("infinity waits as long as the child likes", "[otp][supervisor_state]") {
  Tree tree{{}};
  Gate entered;
  Gate left;
  const auto a = tree.supervisor->start_child<Worker>(
      {.id = "a", .shutdown = Shutdown::infinity()}, tree.diary, "a", [&](const ExitReason&) {
        entered.open();
        left.wait();
      });
  const AnyRef server = a.ref();

  Future<void> stopped = tree.supervisor->async_call(
      [](SupervisorState& state) { state.terminate_child(std::string{"a"}); });
  entered.wait();
  CHECK_FALSE(stopped.is_ready());
  left.open();
  stopped.get();

  CHECK(server.exit_reason() == ExitReason::shutdown());
  CHECK(tree.log.count(Report::Kind::supervisor) == 0);
}

TEST_CASE("a child is asked to end by an exit signal, or by a last message",
          "[otp][supervisor_state]") {
  const StopBy stop_by = GENERATE(StopBy::exit_signal, StopBy::last_message);
  Tree tree{{}};
  const auto a = tree.supervisor->start_child<Worker>({.id = "a", .stop_by = stop_by}, tree.diary,
                                                      "a");
  std::atomic<int> handled{0};
  const std::shared_ptr<Worker> owner = a.lock();
  Future<void> stopped;
  {
    Hold hold{*owner};
    owner->cast([&] { ++handled; });
    stopped = tree.supervisor->async_call(
        [](SupervisorState& state) { state.terminate_child(std::string{"a"}); });
    if (stop_by == StopBy::exit_signal) {
      const auto is_asked = [&] { return owner->callee().interrupts().is_raised(); };
      REQUIRE(eventually(is_asked));
    }
  }
  stopped.get();

  CHECK(handled == (stop_by == StopBy::last_message ? 1 : 0));
  CHECK(owner->exit_reason() == ExitReason::shutdown());
}

TEST_CASE("a child that ends by itself while all are stopped disturbs nothing",
          "[otp][supervisor_state]") {
  const Ends how =
      GENERATE(Ends::normally, Ends::with_shutdown, Ends::with_exception, Ends::killed);
  Tree tree{{.max_restarts = 0}, {permanent}};
  const Child<Worker> a = tree.supervisor->child<Worker>("a");
  const Worker* const worker = a.lock().get();
  tree.supervisor->start_child<Worker>({.id = "b"}, tree.diary, "b",
                                       [=](const ExitReason&) { ::end(*worker, how); });
  const AnyRef server = a.ref();
  tree.diary->take();

  tree.supervisor->stop();

  CHECK(tree.ended() == ExitReason::normal());
  CHECK(tree.diary->take() == Lines{"-a", "-b"});
  const bool is_abnormal = how == Ends::with_exception || how == Ends::killed;
  CHECK(server.exit_reason()->is_abnormal() == is_abnormal);
  const auto gone = thrown<ServerGone>([&] { static_cast<void>(a->ref()); });
  REQUIRE(gone);
  CHECK(gone->reason() == *server.exit_reason());  // its own
}

TEST_CASE("what terminate throws is the reason, and keeps nobody from being stopped",
          "[otp][supervisor_state]") {
  Tree tree{{}, {permanent}};
  const auto b = tree.supervisor->start_child<Worker>(
      {.id = "b"}, tree.diary, "b",
      [](const ExitReason&) { throw std::runtime_error{"no end"}; });
  const AnyRef server = b.ref();

  tree.supervisor->stop();

  CHECK(server.exit_reason()->what() == "exception: no end");
  CHECK(tree.diary->take() == Lines{"+b", "-b", "-a"});
}

TEST_CASE("any significant child that ends by itself ends the supervisor",
          "[otp][supervisor_state]") {
  const Ends how =
      GENERATE(Ends::normally, Ends::with_shutdown, Ends::with_exception, Ends::killed);
  const bool is_abnormal = how == Ends::with_exception || how == Ends::killed;
  Tree tree{{.auto_shutdown = AutoShutdown::any_significant}, {permanent, transient, temporary}};

  tree.end("b", how);
  CHECK(tree.ended().has_value() == !is_abnormal);  // else it was restarted
  if (tree.ended()) return;
  tree.end("c", how);

  CHECK(tree.ended() == ExitReason::shutdown());
}

TEST_CASE("all significant children have to end by themselves to end the supervisor",
          "[otp][supervisor_state]") {
  Tree tree{{.auto_shutdown = AutoShutdown::all_significant},
            {permanent, transient, transient, temporary}};

  tree.end("d", Ends::with_exception);
  tree.end("b", Ends::normally);
  CHECK(tree.children() == "a b(stopped) c");
  tree.end("a", Ends::with_exception);
  CHECK_FALSE(tree.ended());
  tree.end("c", Ends::normally);

  CHECK(tree.ended() == ExitReason::shutdown());
}

TEST_CASE("a significant child that is being restarted counts as one that has not ended",
          "[otp][supervisor_state]") {
  Tree tree{{.auto_shutdown = AutoShutdown::all_significant,
             .back_off = BackOff{.first = 1h, .longest = 1h}},
            {transient, transient}};

  tree.end("a", Ends::with_exception);
  tree.end("b", Ends::normally);

  CHECK(tree.children() == "a(restarting) b(stopped)");
}

TEST_CASE("a significant child that somebody stops does not end the supervisor",
          "[otp][supervisor_state]") {
  const AutoShutdown when = GENERATE(AutoShutdown::any_significant, AutoShutdown::all_significant);
  Tree tree{{.strategy = Strategy::one_for_all, .auto_shutdown = when},
            {permanent, temporary, transient}};

  tree.end("a", Ends::with_exception);  // b is stopped with it
  CHECK(tree.children() == "a c");
  tree.supervisor->terminate_child("c");

  CHECK(tree.children() == "a c(stopped)");
}

TEST_CASE("a significant supervisor that ends takes the one above with it",
          "[otp][supervisor_state]") {
  const ReportLog log;
  const auto diary = std::make_shared<Diary>();
  const SupervisorOptions heeds{.auto_shutdown = AutoShutdown::any_significant};
  const ChildSpec significant{.id = "s", .restart = Restart::transient, .significant = true};
  Supervisor top{heeds, child<Worker>({.id = "a"}, diary, "a"),
                 child<Supervisor>(significant, heeds, child<Worker>(significant, diary, "s"))};

  end(top.child<Supervisor>("s")->child<Worker>("s").ref(), Ends::normally);
  top.wait();

  CHECK(top.exit_reason() == ExitReason::shutdown());
  CHECK(diary->take() == Lines{"+a", "+s", "-s", "-a"});
}

TEST_CASE("a limit for the stop of a supervisor holds for all below it",
          "[otp][supervisor_state]") {
  const ReportLog log;
  const auto diary = std::make_shared<Diary>();
  const ChildSpec spec{.id = "a", .shutdown = Shutdown::infinity()};
  Supervisor top{{}, child<Supervisor>({.id = "below"}, SupervisorOptions{},
                                       child<Worker>(spec, diary, "a"))};
  const Child<Worker> a = top.child<Supervisor>("below")->child<Worker>("a");
  const AnyRef server = a.ref();
  const AnyRef below = top.child<Supervisor>("below").ref();
  Hold hold{*a.lock()};

  top.stop_limit()->set(Deadline::after(1ms), 8s);  // time to report the kill
  top.stop();

  CHECK(server.exit_reason() == ExitReason::killed());
  CHECK(below.exit_reason() == ExitReason::shutdown());
}
