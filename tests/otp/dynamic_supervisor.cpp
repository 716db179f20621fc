// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/dynamic_supervisor.hpp>

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
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Lines = Diary::Lines;
using Start = Diary::Start;
using Kind = ChildError::Kind;

/// A supervisor with children whose ends it has seen.
struct Crew {
  explicit Crew(const DynamicSupervisorOptions& options = {}) : supervisor{options} {}

  Child<Worker> start(const std::string& name, Restart restart = Restart::permanent) {
    return supervisor.start_child<Worker>({.restart = restart}, diary, name);
  }
  /// Returns the statuses, in order.
  std::vector<ChildStatus> statuses() const {
    std::vector<ChildStatus> found;
    for (const ChildSnapshot& each : supervisor.children()) found.push_back(each.status);
    return found;
  }

  ReportLog log{};
  std::shared_ptr<Diary> diary = std::make_shared<Diary>();
  DynamicSupervisor supervisor;
};

using Statuses = std::vector<ChildStatus>;
constexpr ChildStatus running = ChildStatus::running;
constexpr ChildStatus restarting = ChildStatus::restarting;

const DynamicSupervisorOptions patient{.back_off = BackOff{.first = 1h, .longest = 1h}};

}  // namespace

TEST_CASE("dynamic children need no id, and are restarted one by one",
          "[otp][dynamic_supervisor]") {
  Crew crew;
  const auto a = crew.start("a");
  const auto b = crew.start("b");
  const AnyRef first = a.ref();

  end(b.ref(), Ends::with_exception);

  CHECK(crew.statuses() == Statuses{running, running});
  CHECK(a.ref() == first);
  CHECK(crew.diary->take() == Lines{"+a", "+b", "-b", "+b"});
  CHECK(a.id().empty());
  CHECK(a != b);
}

TEST_CASE("a dynamic child that ends and is not restarted is forgotten",
          "[otp][dynamic_supervisor]") {
  const Ends how = GENERATE(Ends::normally, Ends::with_shutdown);
  Crew crew;
  const auto a = crew.start("a", Restart::transient);
  const auto b = crew.start("b", Restart::temporary);

  end(a.ref(), how);
  end(b.ref(), Ends::with_exception);

  CHECK(crew.supervisor.children().empty());
  CHECK(a.status() == ChildStatus::removed);
  CHECK(crew.supervisor.count_children() == ChildCounts{});
}

TEST_CASE("a dynamic child is stopped and forgotten by its handle or its server",
          "[otp][dynamic_supervisor]") {
  Crew crew;
  const auto a = crew.start("a");
  const auto b = crew.start("b");
  const auto c = crew.start("c");
  const AnyRef server = b.ref();

  crew.supervisor.terminate_child(a);
  crew.supervisor.terminate_child(server);

  CHECK(crew.diary->take() == Lines{"+a", "+b", "+c", "-a", "-b"});
  CHECK(crew.supervisor.children().size() == 1);
  CHECK(thrown<ChildError>([&] { crew.supervisor.terminate_child(a); })->kind() ==
        Kind::not_found);
  CHECK(thrown<ChildError>([&] { crew.supervisor.terminate_child(server); })->holder() ==
        server.pid());
  CHECK_THROWS_AS(crew.supervisor.terminate_child(Child<Worker>{}), InvalidArgument);
  CHECK_THROWS_AS(crew.supervisor.terminate_child(AnyRef{}), InvalidArgument);
}

TEST_CASE("a child of another supervisor is not found", "[otp][dynamic_supervisor]") {
  Crew crew;
  DynamicSupervisor other{};
  const auto a = crew.start("a");

  CHECK_THROWS_AS(other.terminate_child(a), ChildError);
  CHECK_THROWS_AS(other.terminate_child(AnyRef{a.ref()}), ChildError);
  CHECK(a.is_running());
}

TEST_CASE("a dynamic child that is being restarted can be called off",
          "[otp][dynamic_supervisor]") {
  Crew crew{patient};
  const auto a = crew.start("a");
  const AnyRef last = a.ref();
  end(a.ref(), Ends::with_exception);
  REQUIRE(crew.statuses() == Statuses{restarting});

  CHECK_THROWS_AS(crew.supervisor.terminate_child(last), ChildError);  // it is no server now
  crew.supervisor.terminate_child(a);

  CHECK(crew.statuses().empty());
}

TEST_CASE("there are no more than max_children", "[otp][dynamic_supervisor]") {
  Crew crew{{.max_children = 2}};
  crew.start("a");
  const auto b = crew.start("b");

  const auto refused = thrown<ChildError>([&] { crew.start("c"); });
  REQUIRE(refused);
  CHECK(refused->kind() == Kind::max_children);
  crew.supervisor.terminate_child(b);
  crew.start("d");

  CHECK(crew.diary->take() == Lines{"+a", "+b", "-b", "+d"});
  DynamicSupervisor none{{.max_children = 0}};
  CHECK_THROWS_AS(none.start_child<Worker>({}, crew.diary, "e"), ChildError);
}

TEST_CASE("a child that is being restarted counts for max_children",
          "[otp][dynamic_supervisor]") {
  DynamicSupervisorOptions options = patient;
  options.max_children = 1;
  Crew crew{options};
  end(crew.start("a").ref(), Ends::with_exception);
  REQUIRE(crew.statuses() == Statuses{restarting});

  CHECK_THROWS_AS(crew.start("b"), ChildError);
  CHECK(crew.supervisor.count_children() == ChildCounts{1, 0, 0, 1});
}

TEST_CASE("a dynamic child whose restart fails is tried again", "[otp][dynamic_supervisor]") {
  Crew crew;
  const auto a = crew.start("a");
  crew.diary->plan("a", {Start::fails});
  Future<ChildCounts> counts;
  const AnyRef server = a.ref();
  {
    Hold hold{crew.supervisor};
    server.kill();
    counts = crew.supervisor.async_call(
        [](SupervisorState& state) { return state.count_children(); });
  }

  CHECK(counts.get() == ChildCounts{1, 0, 0, 1});  // between the two attempts
  REQUIRE(a.wait_until_running(10s));
  CHECK(crew.supervisor.count_children() == ChildCounts{1, 1, 0, 1});
  CHECK(crew.diary->take() == Lines{"+a", "-a", "!a", "+a"});
}

TEST_CASE("a dynamic child that is ignored is no child", "[otp][dynamic_supervisor]") {
  Crew crew;
  crew.diary->plan("a", {Start::is_ignored});
  const auto a = crew.start("a");
  const auto b = crew.start("b");
  crew.diary->plan("b", {Start::is_ignored});

  end(b.ref(), Ends::with_exception);

  CHECK(crew.statuses().empty());
  CHECK(a.status() == ChildStatus::removed);
  CHECK(b.status() == ChildStatus::removed);
  CHECK(crew.log.count(Report::Kind::supervisor) == 0);
}

TEST_CASE("a dynamic child that does not start is no child, and is reported",
          "[otp][dynamic_supervisor]") {
  Crew crew;
  crew.diary->plan("a", {Start::fails});

  CHECK_THROWS_AS(crew.start("a"), StartFailed);

  CHECK(crew.statuses().empty());
  CHECK(crew.log.count(Report::Kind::supervisor) == 1);
}

TEST_CASE("a dynamic supervisor gives up after too many restarts", "[otp][dynamic_supervisor]") {
  Crew crew{{.max_restarts = 1}};
  const auto a = crew.start("a");
  crew.start("b");
  end(a.ref(), Ends::with_exception);
  REQUIRE(a.wait_until_running(10s));

  end(a.ref(), Ends::with_exception);
  crew.supervisor.wait();

  CHECK(crew.supervisor.exit_reason() == ExitReason::shutdown());
  CHECK(crew.diary->take() == Lines{"+a", "+b", "-a", "+a", "-a", "-b"});
}

TEST_CASE("dynamic children are stopped at the same time", "[otp][dynamic_supervisor]") {
  Crew crew;
  std::atomic<int> ending{0};
  std::atomic<int> met{0};
  for (const char* const name : {"a", "b", "c"}) {
    crew.supervisor.start_child<Worker>({}, crew.diary, name, [&](const ExitReason&) {
      ++ending;
      if (eventually([&] { return ending == 3; })) ++met;
    });
  }

  crew.supervisor.stop();

  CHECK(met == 3);
}

TEST_CASE("of the dynamic children only those are killed that do not end in time",
          "[otp][dynamic_supervisor]") {
  Crew crew;
  const auto a = crew.supervisor.start_child<Worker>({.shutdown = 1ms}, crew.diary, "a");
  const auto b = crew.supervisor.start_child<Worker>({.shutdown = Shutdown::infinity()},
                                                     crew.diary, "b");
  const AnyRef first = a.ref();
  const AnyRef second = b.ref();
  Hold hold{*a.lock()};

  crew.supervisor.stop();

  CHECK(first.exit_reason() == ExitReason::killed());
  CHECK(second.exit_reason() == ExitReason::shutdown());
  CHECK(crew.log.count(Report::Kind::supervisor) == 1);
}

TEST_CASE("dynamic children that call their supervisor as it stops them do not hold it up",
          "[otp][dynamic_supervisor]") {
  Crew crew;
  std::atomic<int> refused{0};
  for (const char* const name : {"a", "b", "c"}) {
    crew.supervisor.start_child<Worker>(
        {.shutdown = Shutdown::infinity()}, crew.diary, name, [&](const ExitReason&) {
          if (thrown<Error>([&] { static_cast<void>(crew.supervisor.children()); })) ++refused;
        });
  }

  crew.supervisor.stop();

  CHECK(eventually([&] { return refused == 3; }));
}

TEST_CASE("the children of a dynamic supervisor are gone when it is restarted",
          "[otp][dynamic_supervisor]") {
  const ReportLog log;
  const auto diary = std::make_shared<Diary>();
  Supervisor top{{}, child<DynamicSupervisor>({.id = "crew"}, DynamicSupervisorOptions{})};
  const Child<DynamicSupervisor> crew = top.child<DynamicSupervisor>("crew");
  const auto a = crew->start_child<Worker>({}, diary, "a");

  end(crew.ref(), Ends::with_exception);
  REQUIRE(crew.wait_until_running(10s));

  CHECK(crew->children().empty());
  CHECK(a.status() == ChildStatus::removed);
  CHECK(top.children()[0].is_supervisor);
  CHECK(diary->take() == Lines{"+a", "-a"});
}

TEST_CASE("what makes no sense for a dynamic supervisor is refused",
          "[otp][dynamic_supervisor]") {
  Crew crew;
  const ChildSpec significant{.restart = Restart::temporary, .significant = true};

  CHECK_THROWS_AS(crew.supervisor.start_child<Worker>(significant, crew.diary, "a"),
                  InvalidArgument);
  CHECK_THROWS_AS((DynamicSupervisor{{.within = 0s}}), InvalidArgument);
  CHECK(crew.statuses().empty());
}
