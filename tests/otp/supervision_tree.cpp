// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/supervision_tree.hpp>

#include <genserver/otp/dynamic_supervisor.hpp>
#include <genserver/otp/supervisor.hpp>

#include <support/catch.hpp>
#include <support/json_value.hpp>

#include <fmt/core.h>

#include <string>

using namespace genserver;

namespace {

class Store : public GenServer<int> {
 public:
  explicit Store(const std::string& name = "store") : GenServer{{.name = name}, 0} {}
};

/// A shop with a cache that is stopped, and a till below it.
struct Shop {
  Supervisor supervisor{
      {.name = "shop"},
      child<Store>({.id = "cache", .restart = Restart::transient}),
      child<Supervisor>({.id = "tills"}, SupervisorOptions{.name = "tills"},
                        child<Store>({.id = "till"}, std::string{"till \"1\""}))};
  Shop() { supervisor.terminate_child("cache"); }
};

}  // namespace

TEST_CASE("a tree has every child below its supervisor", "[otp][supervision_tree]") {
  const Shop shop;

  const SupervisionTree tree = supervision_tree(shop.supervisor);

  CHECK(tree.name == "shop");
  CHECK(tree.pid == shop.supervisor.pid());
  REQUIRE(tree.children.size() == 2);
  CHECK(tree.children[0].id == "cache");
  CHECK(tree.children[0].status == ChildStatus::stopped);
  CHECK(tree.children[0].pid == Pid{});
  CHECK_FALSE(tree.children[0].is_supervisor);
  CHECK(tree.children[1].is_supervisor);
  REQUIRE(tree.children[1].children.size() == 1);
  CHECK(tree.children[1].children[0].name == "till \"1\"");
}

TEST_CASE("a tree as text is a line for each", "[otp][supervision_tree]") {
  const Shop shop;
  const SupervisionTree tree = supervision_tree(shop.supervisor);

  CHECK(to_text(tree) ==
        fmt::format("shop:{}\n"
                    "  \"cache\", transient, stopped\n"
                    "  \"tills\": tills:{}, permanent, running\n"
                    "    \"till\": till \"1\":{}, permanent, running\n",
                    tree.pid.value(), tree.children[1].pid.value(),
                    tree.children[1].children[0].pid.value()));
}

TEST_CASE("a tree as JSON has everything", "[otp][supervision_tree]") {
  const Shop shop;
  const SupervisionTree tree = supervision_tree(shop.supervisor);

  const JsonValue json{to_json(tree)};
  CHECK(json["name"].text() == "shop");
  CHECK_FALSE(json.has("id"));
  const JsonValue& cache = json["children"].items().at(0);
  CHECK(cache["status"].text() == "stopped");
  CHECK(cache["restart"].text() == "transient");
  CHECK_FALSE(cache.has("pid"));
  CHECK_FALSE(cache.has("children"));
  const JsonValue& till = json["children"].items().at(1)["children"].items().at(0);
  CHECK(till["pid"].number() == static_cast<double>(tree.children[1].children[0].pid.value()));
}

TEST_CASE("a tree as a drawing has an edge for each child", "[otp][supervision_tree]") {
  const Shop shop;
  const SupervisionTree tree = supervision_tree(shop.supervisor);

  CHECK(to_dot(tree) ==
        fmt::format("digraph supervisors {{\n"
                    "  0 [label=\"shop:{}\", shape=box, style=solid]\n"
                    "  1 [label=\"\\\"cache\\\"\", shape=ellipse, style=dashed]\n"
                    "  0 -> 1\n"
                    "  2 [label=\"\\\"tills\\\": tills:{}\", shape=box, style=solid]\n"
                    "  3 [label=\"\\\"till\\\": till \\\"1\\\":{}\", shape=ellipse, style=solid]\n"
                    "  2 -> 3\n"
                    "  0 -> 2\n"
                    "}}\n",
                    tree.pid.value(), tree.children[1].pid.value(),
                    tree.children[1].children[0].pid.value()));
}

TEST_CASE("a supervisor that has ended has no children", "[otp][supervision_tree]") {
  Supervisor supervisor{{}, child<Store>({.id = "cache"})};
  supervisor.stop();

  const SupervisionTree tree = supervision_tree(supervisor);

  CHECK(tree.status == ChildStatus::stopped);
  CHECK(tree.children.empty());
}

TEST_CASE("children without an id are shown by their servers", "[otp][supervision_tree]") {
  const DynamicSupervisor supervisor{};
  const Child<Store> store = supervisor.start_child<Store>({});

  const SupervisionTree tree = supervision_tree(supervisor);

  REQUIRE(tree.children.size() == 1);
  CHECK(to_text(tree) == fmt::format("dynamic supervisor:{}\n  store:{}, permanent, running\n",
                                     supervisor.pid().value(), store.ref().pid().value()));
}
