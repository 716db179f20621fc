// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/runner_table.hpp>

#include <genserver/otp/runner.hpp>

#include <support/catch.hpp>
#include <support/thrown.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace genserver;

namespace {

using Kind = ServiceError::Kind;

/// A table and runs for it; none of them is ever launched.
struct Fixture {
  KeptRun make(const Service& service) {
    KeptRun kept;
    kept.run = std::make_shared<ServiceRun>(service, nullptr, nullptr);
    kept.server = std::make_shared<GenServer<ServiceTask>>(service.options(), kept.run);
    kept.run->begin(*kept.server);
    return kept;
  }

  Runner runner{};
  RunnerTable table{runner, {}};
  Service a{"a", [](ServiceContext&) {}};
  Service b{"b", [](ServiceContext&) {}};
};

Kind kind_of(const ServiceFailure& failure) {
  return thrown<ServiceError>([&] { raise({failure}); })->kind();
}

}  // namespace

TEST_CASE("a table keeps the runs that it is given, in their order", "[otp][runner_table]") {
  Fixture fixture;
  std::vector<KeptRun> runs{fixture.make(fixture.b), fixture.make(fixture.a)};

  CHECK(fixture.table.add(runs, OnFailedStart::roll_back, "here").empty());

  CHECK(runs.size() == 2);
  REQUIRE(fixture.table.all().size() == 2);
  CHECK(fixture.table.all()[0].run == runs[0].run);
  REQUIRE(fixture.table.find(fixture.a).has_value());
  CHECK(fixture.table.find(fixture.a)->run == runs[1].run);
}

TEST_CASE("a service runs once, also if it is named twice", "[otp][runner_table]") {
  Fixture fixture;
  std::vector<KeptRun> runs{fixture.make(fixture.a), fixture.make(fixture.a)};

  const auto failures = fixture.table.add(runs, OnFailedStart::keep, "here");

  REQUIRE(failures.size() == 1);
  CHECK(kind_of(failures[0]) == Kind::already_running);
  CHECK(has(describe(failures[0].reason.cause()), "here"));
  CHECK(runs.size() == 1);
  REQUIRE(fixture.table.refusal(fixture.a, "here").has_value());
  CHECK_FALSE(fixture.table.refusal(fixture.b, "here").has_value());
}

TEST_CASE("all or none are kept, if that is wanted", "[otp][runner_table]") {
  Fixture fixture;
  std::vector<KeptRun> first{fixture.make(fixture.a)};
  fixture.table.add(first, OnFailedStart::roll_back, "here");
  std::vector<KeptRun> second{fixture.make(fixture.b), fixture.make(fixture.a)};

  CHECK(fixture.table.add(second, OnFailedStart::roll_back, "here").size() == 1);

  CHECK(second.empty());
  CHECK(fixture.table.all().size() == 1);
  CHECK_FALSE(fixture.table.find(fixture.b).has_value());
}

TEST_CASE("a run that is over is forgotten, and only that one", "[otp][runner_table]") {
  Fixture fixture;
  std::vector<KeptRun> runs{fixture.make(fixture.a)};
  fixture.table.add(runs, OnFailedStart::roll_back, "here");
  const KeptRun stranger = fixture.make(fixture.a);

  fixture.table.forget(*stranger.run);
  CHECK(fixture.table.find(fixture.a).has_value());
  fixture.table.forget(*runs[0].run);
  fixture.table.forget(*runs[0].run);

  CHECK_FALSE(fixture.table.find(fixture.a).has_value());
  CHECK(fixture.table.all().empty());
}

TEST_CASE("a table that is not enabled takes nothing", "[otp][runner_table]") {
  Fixture fixture;
  std::vector<KeptRun> runs{fixture.make(fixture.a)};
  CHECK(fixture.table.change(RunnerState::suspended, RunnerState::enabled));
  CHECK_FALSE(fixture.table.change(RunnerState::suspended, RunnerState::enabled));

  const auto failures = fixture.table.add(runs, OnFailedStart::keep, "here");

  REQUIRE(failures.size() == 1);
  CHECK(kind_of(failures[0]) == Kind::not_enabled);
  CHECK(fixture.table.change(RunnerState::enabled));
  CHECK(fixture.table.state() == RunnerState::enabled);
  CHECK(&fixture.table.runner() == &fixture.runner);
}

TEST_CASE("a table that is closed has no runner, and lets nobody tell", "[otp][runner_table]") {
  Fixture fixture;
  CHECK(&fixture.table.runner() == &fixture.runner);
  using Teller = RunKeeper::Teller;
  for (const Teller teller : {Teller::run, Teller::other}) {
    REQUIRE(fixture.table.begin_telling(teller));
    fixture.table.end_telling(teller);
  }

  fixture.table.close();

  CHECK_THROWS_AS(fixture.table.runner().enable(), InvalidArgument);
  for (const Teller teller : {Teller::run, Teller::other}) {
    CHECK_FALSE(fixture.table.begin_telling(teller));
  }
}

TEST_CASE("a run that is refused, or not kept, is not told of its end", "[otp][runner_table]") {
  Fixture fixture;
  int ends = 0;
  const Service watched{
      "watched", [](ServiceContext&) {}, {.on_end = [&](const ServiceEnd&) { ++ends; }}};
  {
    std::vector<KeptRun> runs{fixture.make(watched), fixture.make(watched)};
    CHECK(fixture.table.add(runs, OnFailedStart::roll_back, "here").size() == 1);
  }
  CHECK(ends == 0);

  {
    std::vector<KeptRun> runs{fixture.make(watched), fixture.make(watched)};
    CHECK(fixture.table.add(runs, OnFailedStart::keep, "here").size() == 1);
    runs.front().server->stop();
  }
  CHECK(ends == 1);
}
