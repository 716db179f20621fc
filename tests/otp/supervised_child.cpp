// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/supervised_child.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/hold.hpp>
#include <support/report_log.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Number = GenServer<int>;
using Stopped = SupervisedChild::Stopped;
using IfCircular = SupervisedChild::IfCircular;

/// A child whose supervisor is any server.
struct Nursery {
  explicit Nursery(ChildSpec spec = {})
      : child{genserver::child<Number>(std::move(spec), Options{.name = "one"}, 0),
              supervisor->shared_core(), limit} {}
  ~Nursery() {
    if (child.is_running()) stop();
    child.set_gone(ChildStatus::removed);
  }
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;

  AnyRef start() {
    child.start([this](const AnyRef& server) {
      return supervisor->monitor(server, [](int& downs, const Down&) { ++downs; });
    });
    return child.server();
  }
  Stopped stop(Deadline until = Deadline::never()) {
    limit->set(until);
    const Stopped how = child.stop(ExitReason::shutdown(), IfCircular::kill);
    child.set_gone(ChildStatus::stopped);
    return how;
  }
  int downs() {
    return supervisor->call([](int& n) { return n; });
  }

  ReportLog log{};
  std::shared_ptr<Number> supervisor = genserver::start<Number>(Options{.name = "top"}, 0);
  std::shared_ptr<StopLimit> limit = std::make_shared<StopLimit>();
  SupervisedChild child;
};

}  // namespace

TEST_CASE("a child that has not been started has no server and no reason",
          "[otp][supervised_child]") {
  Nursery nursery;

  CHECK(nursery.child.status() == ChildStatus::stopped);
  CHECK_FALSE(nursery.child.server());
  CHECK(nursery.child.reason() == ExitReason::no_server());
  nursery.child.set_gone(ChildStatus::restarting);
  CHECK(nursery.child.slot()->status() == ChildStatus::restarting);
}

TEST_CASE("a stop ends the server, and no Down comes from it", "[otp][supervised_child]") {
  Nursery nursery;
  const AnyRef server = nursery.start();
  CHECK(nursery.child.is_running());
  CHECK(nursery.child.slot()->server() == server);

  CHECK(nursery.stop() == Stopped::ended);

  CHECK(server.exit_reason() == ExitReason::shutdown());
  CHECK(nursery.child.reason() == ExitReason::shutdown());
  CHECK(nursery.child.slot()->owner() == nullptr);
  CHECK(nursery.downs() == 0);
}

TEST_CASE("a Down comes from a server that ends by itself", "[otp][supervised_child]") {
  Nursery nursery;

  nursery.start().stop(ExitReason::shutdown("done"));

  CHECK(nursery.downs() == 1);
  CHECK(nursery.child.reason() == ExitReason::shutdown("done"));
  CHECK(nursery.stop() == Stopped::ended);  // too late, and no harm
}

TEST_CASE("a server that does not end in time is killed", "[otp][supervised_child]") {
  Nursery nursery{{.shutdown = 1ms}};
  const AnyRef server = nursery.start();
  Hold hold{*std::static_pointer_cast<Number>(nursery.child.slot()->owner())};

  CHECK(nursery.stop() == Stopped::killed);

  CHECK(server.exit_reason() == ExitReason::killed());
}

TEST_CASE("a limit counts for more than the specification", "[otp][supervised_child]") {
  Nursery nursery{{.shutdown = Shutdown::infinity()}};
  nursery.start();
  Hold hold{*std::static_pointer_cast<Number>(nursery.child.slot()->owner())};

  CHECK(nursery.stop(Deadline::after(1ms)) == Stopped::killed);
}

TEST_CASE("several may be asked to end before any is waited for", "[otp][supervised_child]") {
  Nursery first;
  Nursery second;
  first.start();
  second.start();

  first.child.begin_stop(ExitReason::shutdown("both"));
  second.child.begin_stop(ExitReason::shutdown("both"));

  CHECK(first.child.finish_stop(IfCircular::kill) == Stopped::ended);
  CHECK(second.child.finish_stop(IfCircular::kill) == Stopped::ended);
  first.child.set_gone(ChildStatus::stopped);
  second.child.set_gone(ChildStatus::stopped);
  CHECK(second.child.reason() == ExitReason::shutdown("both"));
}

TEST_CASE("the end of the supervisor ends the child", "[otp][supervised_child]") {
  Nursery nursery;
  const AnyRef server = nursery.start();

  nursery.supervisor->stop();
  server.wait();

  CHECK(server.exit_reason() == ExitReason::killed());
}

TEST_CASE("a child that starts after its supervisor's end does not stay",
          "[otp][supervised_child]") {
  Nursery nursery;
  nursery.supervisor->stop();

  CHECK_THROWS_AS(nursery.start(), ServerGone);  // from the monitor

  CHECK_FALSE(nursery.child.is_running());
  CHECK(nursery.child.slot()->owner() == nullptr);
}

TEST_CASE("restarts in a row are counted, until a server has run long enough",
          "[otp][supervised_child]") {
  Nursery nursery;
  nursery.start();

  CHECK(nursery.child.count_restart(1h) == 0);
  CHECK(nursery.child.count_restart(0ns) == 1);  // tried again: none has run
  CHECK(nursery.stop() == Stopped::ended);
  nursery.start();
  CHECK(nursery.child.count_restart(1h) == 2);
  CHECK(nursery.stop() == Stopped::ended);
  nursery.start();
  CHECK(nursery.child.count_restart(0ns) == 0);
}

TEST_CASE("only the last plan for a restart counts, and only while there is none",
          "[otp][supervised_child]") {
  Nursery nursery;
  const std::uint64_t first = nursery.child.plan_restart();
  CHECK_FALSE(nursery.child.is_planned(first));  // it is stopped
  nursery.child.set_gone(ChildStatus::restarting);
  CHECK(nursery.child.is_planned(first));

  const std::uint64_t second = nursery.child.plan_restart();

  CHECK_FALSE(nursery.child.is_planned(first));
  CHECK(nursery.child.is_planned(second));
  nursery.start();
  CHECK_FALSE(nursery.child.is_planned(second));
}
