// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/method_table.hpp>

#include <support/catch.hpp>
#include <support/thrown.hpp>

#include <any>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace genserver;

namespace {

struct Store {
  int get(const std::string& key) const { return values.at(key); }
  void put(const std::string& key, int value) { values[key] = value; }
  int take(std::string key) {
    const int value = values.at(key);
    values.erase(key);
    return value;
  }
  [[nodiscard]] std::size_t size() const noexcept { return values.size(); }
  [[nodiscard]] const std::map<std::string, int>& all() const { return values; }

  std::map<std::string, int> values{};
};

int sum(Store& store) {
  int total = 0;
  for (const auto& [key, value] : store.values) total += value;
  return total;
}

using Values = std::map<std::string, int>;

MethodTable<Store> store_methods() {
  MethodTable<Store> methods;
  methods.on("get", &Store::get).on("put", &Store::put).on("take", &Store::take);
  methods.on("size", &Store::size).on("all", &Store::all).on("sum", &sum);
  methods.on("clear", [](Store& store) { store.values.clear(); });
  methods.on("echo", [](Store&, const std::any& body) { return body; });
  return methods;
}

}  // namespace

TEST_CASE("member functions and others are called by name", "[otp][method_table]") {
  const MethodTable<Store> methods = store_methods();
  Store store{{{"milk", 1}, {"eggs", 6}}};

  CHECK(std::any_cast<int>(methods.handle(store, "get", std::string{"eggs"})) == 6);
  CHECK(std::any_cast<int>(methods.handle(store, "sum", {})) == 7);
  CHECK(std::any_cast<int>(methods.handle(store, "take", std::string{"milk"})) == 1);
  CHECK(std::any_cast<std::size_t>(methods.handle(store, "size", {})) == 1);
  CHECK_FALSE(methods.handle(store, "clear", {}).has_value());
  CHECK(store.values.empty());
}

TEST_CASE("several values are sent as a tuple", "[otp][method_table]") {
  const MethodTable<Store> methods = store_methods();
  Store store;

  methods.handle(store, "put", std::tuple{std::string{"milk"}, 2});

  CHECK(store.values == Values{{"milk", 2}});
}

TEST_CASE("what a method returns by reference is copied", "[otp][method_table]") {
  const MethodTable<Store> methods = store_methods();
  Store store{{{"milk", 1}}};

  const std::any all = methods.handle(store, "all", {});
  store.values.clear();

  CHECK(std::any_cast<Values>(all) == Values{{"milk", 1}});
}

TEST_CASE("a method that takes a std::any takes anything", "[otp][method_table]") {
  const MethodTable<Store> methods = store_methods();
  Store store;

  CHECK(std::any_cast<double>(methods.handle(store, "echo", 1.5)) == 1.5);
  CHECK_FALSE(methods.handle(store, "echo", {}).has_value());
}

TEST_CASE("an unknown method is an error that names those that there are",
          "[otp][method_table]") {
  MethodTable<Store> methods;
  Store store;
  CHECK(has(thrown<UnknownMethod>([&] { methods.handle(store, "get", {}); })->what(), "none"));
  methods.on("size", &Store::size).on("put", &Store::put);

  const auto error = thrown<UnknownMethod>([&] { methods.handle(store, "get", {}); });

  REQUIRE(error.has_value());
  CHECK(has(error->what(), "\"get\" is no method of "));
  CHECK(has(error->what(), "Store, which has \"put\", \"size\""));
}

TEST_CASE("a body of the wrong type is an error that names both types", "[otp][method_table]") {
  const MethodTable<Store> methods = store_methods();
  Store store;

  const auto wrong = thrown<WrongBody>([&] { methods.handle(store, "get", 5); });
  REQUIRE(wrong.has_value());
  CHECK(has(wrong->what(), "\"get\" of "));
  CHECK(has(wrong->what(), "takes std::string, but was given int"));

  CHECK(has(thrown<WrongBody>([&] { methods.handle(store, "get", {}); })->what(),
            "given nothing"));
  CHECK(has(thrown<WrongBody>([&] { methods.handle(store, "size", 5); })->what(),
            "takes nothing, but was given int"));
  CHECK(has(thrown<WrongBody>([&] { methods.handle(store, "put", 5); })->what(), "tuple"));
}

TEST_CASE("there is one method of a name", "[otp][method_table]") {
  MethodTable<Store> methods = store_methods();

  CHECK_THROWS_AS(methods.on("get", &Store::take), InvalidArgument);
}

TEST_CASE("a table makes a server of a class", "[otp][method_table]") {
  const auto store = listen(store_methods(), Values{{"milk", 1}});

  store.call("put", std::tuple{std::string{"eggs"}, 6});
  store.cast("put", std::tuple{std::string{"bread"}, 2});

  CHECK(store.call<int>("get", "milk") == 1);
  CHECK(store.async_call<int>("get", "eggs").get() == 6);
  CHECK(store.call<std::size_t>("size") == 3);
  CHECK_THROWS_AS(store.call("get", "butter"), std::out_of_range);
  CHECK_THROWS_AS(store.call("got", "milk"), UnknownMethod);
  CHECK_THROWS_AS(store.call("get", 5), WrongBody);
  CHECK(store.call<int>("sum") == 9);
}

TEST_CASE("a server made by a table has the name of its class, or another", "[otp][method_table]") {
  const auto unnamed = listen(store_methods());
  const auto named = listen(store_methods(), Options{.name = "shopping"});

  CHECK(has(unnamed.name(), "Store"));
  CHECK_FALSE(has(unnamed.name(), "TableBehaviour"));
  CHECK(named.name() == "shopping");
}
