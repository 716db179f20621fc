// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/start_gate.hpp>

#include <genserver/core/gen_server.hpp>
#include <genserver/core/snapshot.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/report_log.hpp>

#include <chrono>
#include <optional>
#include <thread>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Kind = ServiceError::Kind;
using Opens = StartGate::Opens;

const CallSite site = CallSite::here();

/// Three servers that are starting, and the gate for them.
struct Starting {
  explicit Starting(Opens opens = Opens::at_failure) : gate{opens} {
    gate.add(a);
    gate.add(b);
    gate.add(c);
  }
  Waited wait(Deadline deadline = Deadline::never(), const StopToken& stop = {}) {
    return gate.wait(deadline, stop, site);
  }
  GenServer<int> a{{.name = "a"}, 0};
  GenServer<int> b{{.name = "b"}, 0};
  GenServer<int> c{{.name = "c"}, 0};
  StartGate gate;
};

std::optional<Pid> waits_for(const AnyRef& server) {
  const Snapshot all = snapshot();
  const auto& edge = all.servers.at(all.find(server.pid()).value()).waits_for;
  if (!edge || edge->kind != WaitKind::start) return std::nullopt;
  return edge->target_pid;
}

}  // namespace

TEST_CASE("a gate for nothing is open", "[otp][start_gate]") {
  StartGate gate{Opens::when_all_settled};

  CHECK(gate.wait(Deadline::never(), {}, site) == Waited::done);
}

TEST_CASE("a gate opens when all are ready, in whatever order", "[otp][start_gate]") {
  Starting starting;
  std::thread other{[&] {
    for (const AnyRef& each : {AnyRef{starting.c}, AnyRef{starting.a}, AnyRef{starting.b}}) {
      starting.gate.settle(each, std::nullopt);
    }
  }};

  CHECK(starting.wait() == Waited::done);
  other.join();

  CHECK(starting.gate.close().empty());
  CHECK_FALSE(starting.gate.is_pending(starting.a));
}

TEST_CASE("the first failure opens a gate, and later ones do not count", "[otp][start_gate]") {
  Starting starting;
  std::thread other{[&] { starting.gate.settle(starting.b, failure_of(Kind::not_ready, "b")); }};

  CHECK(starting.wait() == Waited::done);
  other.join();
  const auto failures = starting.gate.close();
  starting.gate.settle(starting.a, failure_of(Kind::halted, "a"));

  REQUIRE(failures.size() == 1);
  CHECK(failures[0].service == "b");
  CHECK(starting.gate.close().empty());
  CHECK(starting.gate.is_pending(starting.c));
}

TEST_CASE("for each server the first word counts", "[otp][start_gate]") {
  Starting starting{Opens::when_all_settled};
  starting.gate.settle(starting.a, std::nullopt);
  starting.gate.settle(starting.a, failure_of(Kind::not_ready, "a"));
  starting.gate.settle(starting.b, failure_of(Kind::not_ready, "b"));
  starting.gate.settle(starting.b, failure_of(Kind::not_ready, "b"));
  CHECK(starting.wait(Deadline::after(1ms)) == Waited::late);

  starting.gate.settle(starting.c, std::nullopt);

  CHECK(starting.wait() == Waited::done);
  CHECK(starting.wait() == Waited::done);  // it stays open
  CHECK(starting.gate.close().size() == 1);
}

TEST_CASE("a gate may wait for all though one has failed", "[otp][start_gate]") {
  Starting starting{Opens::when_all_settled};
  starting.gate.settle(starting.a, failure_of(Kind::not_ready, "a"));
  starting.gate.settle(starting.b, failure_of(Kind::not_ready, "b"));
  CHECK(starting.wait(Deadline::after(1ms)) == Waited::late);

  starting.gate.settle(starting.c, std::nullopt);

  CHECK(starting.wait() == Waited::done);
  CHECK(starting.gate.close().size() == 2);
}

TEST_CASE("waiting at a gate ends with the deadline, and with a wish to stop",
          "[otp][start_gate]") {
  Starting starting;
  StopSource stop;
  std::thread other{[&] { stop.request_stop(); }};

  CHECK(starting.wait(Deadline::after(1ms)) == Waited::late);
  CHECK(starting.wait(Deadline::never(), stop.get_token()) == Waited::interrupted);
  other.join();
}

TEST_CASE("a server at a gate waits for one that is still starting", "[otp][start_gate]") {
  Starting starting;
  GenServer<int> starter{{}, 0};
  auto waited = starter.async_call([&] { return starting.wait(); });
  CHECK(eventually([&] { return waits_for(starter) == starting.a.pid(); }));

  starting.gate.settle(starting.b, std::nullopt);
  CHECK(waits_for(starter) == starting.a.pid());
  starting.gate.settle(starting.a, std::nullopt);
  CHECK(eventually([&] { return waits_for(starter) == starting.c.pid(); }));
  starting.gate.settle(starting.c, std::nullopt);

  CHECK(waited.get() == Waited::done);
}

TEST_CASE("a service that calls who waits for it to start is a deadlock", "[otp][start_gate]") {
  const ReportLog log;
  Starting starting;
  GenServer<int> starter{{.name = "starter"}, 0};
  auto waited = starter.async_call([&] { return starting.wait(); });
  CHECK(eventually([&] { return waits_for(starter) == starting.a.pid(); }));

  CHECK_THROWS_AS(starting.a.call([&] { starter.call([] {}); }), Deadlock);

  starting.gate.settle(starting.a, failure_of(Kind::not_ready, "a"));
  CHECK(waited.get() == Waited::done);
  CHECK(log.count(Report::Kind::deadlock) == 1);
}
