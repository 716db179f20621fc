// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/child_table.hpp>

#include <support/catch.hpp>
#include <support/thrown.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace genserver;

namespace {

using Number = GenServer<int>;
using Kind = ChildError::Kind;

/// A table whose children any server may have.
struct Nursery {
  explicit Nursery(ChildIds ids = ChildIds::unique) : table{"top", ids} {}
  ~Nursery() {
    while (!table.empty()) table.remove(table.begin());
  }
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;

  ChildTable::Place add(const std::string& id) {
    return table.add(child<Number>({.id = id}, Options{.name = id}, 0), supervisor->shared_core(),
                     limit);
  }
  AnyRef start(ChildTable::Place child) {
    child->start([&](const AnyRef& server) {
      table.add_server(server, child);
      return supervisor->monitor(server, [](int&, const Down&) {});
    });
    return child->server();
  }
  void stop(ChildTable::Place child) {
    table.forget_server(*child);
    child->stop(ExitReason::shutdown(), SupervisedChild::IfCircular::kill);
    child->set_gone(ChildStatus::stopped);
  }

  std::shared_ptr<Number> supervisor = genserver::start<Number>(Options{.name = "top"}, 0);
  std::shared_ptr<StopLimit> limit = std::make_shared<StopLimit>();
  ChildTable table;
};

}  // namespace

TEST_CASE("children are found by id, by handle and by server", "[otp][child_table]") {
  Nursery nursery;
  const auto child = nursery.add("a");
  const AnyRef server = nursery.start(child);

  CHECK(nursery.table.find("a") == child);
  CHECK(nursery.table.find(*child->slot()) == child);
  CHECK(nursery.table.find(server) == child);
  CHECK(nursery.table.find_server(server.pid()) == child);

  nursery.stop(child);
  CHECK_FALSE(nursery.table.find_server(server.pid()).has_value());
  CHECK(nursery.table.find("a") == child);
}

TEST_CASE("a child that is not there is named in the error", "[otp][child_table]") {
  Nursery nursery;
  const auto removed = nursery.add("a");
  const auto slot = removed->slot();
  nursery.table.remove(removed);

  CHECK(slot->status() == ChildStatus::removed);
  const auto by_id = thrown<ChildError>([&] { static_cast<void>(nursery.table.find("a")); });
  const auto by_slot = thrown<ChildError>([&] { static_cast<void>(nursery.table.find(*slot)); });
  const auto by_server =
      thrown<ChildError>([&] { static_cast<void>(nursery.table.find(*nursery.supervisor)); });
  REQUIRE(by_id);
  CHECK(std::string{by_id->what()} == "supervisor \"top\": child \"a\" is not found");
  CHECK(by_id->kind() == Kind::not_found);
  REQUIRE(by_slot);
  CHECK(by_slot->kind() == Kind::not_found);
  REQUIRE(by_server);
  CHECK(by_server->holder() == nursery.supervisor->pid());
}

TEST_CASE("an id is used once", "[otp][child_table]") {
  Nursery nursery;
  const auto child = nursery.add("a");

  const auto present = thrown<ChildError>([&] { nursery.add("a"); });
  REQUIRE(present);
  CHECK(present->kind() == Kind::already_present);
  const AnyRef server = nursery.start(child);
  const auto started = thrown<ChildError>([&] { nursery.add("a"); });
  REQUIRE(started);
  CHECK(started->kind() == Kind::already_started);
  CHECK(started->holder() == server.pid());
  CHECK(nursery.table.size() == 1);
  nursery.stop(child);
}

TEST_CASE("without ids children may have the same", "[otp][child_table]") {
  Nursery nursery{ChildIds::any};
  nursery.add("");
  nursery.add("");

  CHECK(nursery.table.size() == 2);
  CHECK_THROWS_AS(nursery.table.find(""), ChildError);
}

TEST_CASE("only a child that is stopped is found as such", "[otp][child_table]") {
  Nursery nursery;
  const auto child = nursery.add("a");
  const auto find = [&] { static_cast<void>(nursery.table.find_stopped("a")); };

  CHECK(nursery.table.find_stopped("a") == child);
  nursery.start(child);
  const auto running = thrown<ChildError>(find);
  REQUIRE(running);
  CHECK(running->kind() == Kind::running);
  nursery.stop(child);
  child->set_gone(ChildStatus::restarting);
  const auto restarting = thrown<ChildError>(find);
  REQUIRE(restarting);
  CHECK(restarting->kind() == Kind::restarting);
}

TEST_CASE("a planned restart is found until there is a newer plan", "[otp][child_table]") {
  Nursery nursery;
  const auto child = nursery.add("a");
  child->set_gone(ChildStatus::restarting);
  const auto slot = child->slot();

  const auto first = child->plan_restart();
  CHECK(nursery.table.find_planned(*slot, first) == child);
  const auto second = child->plan_restart();
  CHECK_FALSE(nursery.table.find_planned(*slot, first).has_value());
  CHECK(nursery.table.find_planned(*slot, second) == child);
  nursery.table.remove(child);
  CHECK_FALSE(nursery.table.find_planned(*slot, second).has_value());
}

TEST_CASE("children are listed and counted in the order in which they came",
          "[otp][child_table]") {
  Nursery nursery;
  const auto first = nursery.add("b");
  nursery.add("a");
  const AnyRef server = nursery.start(first);

  const std::vector<ChildSnapshot> all = nursery.table.snapshots();
  REQUIRE(all.size() == 2);
  CHECK(all[0].id == "b");
  CHECK(all[0].server == server);
  CHECK(all[1].id == "a");
  CHECK_FALSE(all[1].server);
  CHECK(nursery.table.counts() == ChildCounts{2, 1, 0, 2});
  nursery.stop(first);
}
