// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/call_site.hpp>
#include <genserver/base/type_name.hpp>

#include <support/catch.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace mygenserver::v0 {
class Account {};
}  // namespace mygenserver::v0

namespace app {

class Account {};
enum class Color { red };

template <class T>
struct Cache {};

namespace {
struct Hidden {};
}  // namespace

}  // namespace app

using genserver::type_name;

TEST_CASE("a type is named as it is written", "[base][type_name]") {
  CHECK(type_name<int>() == "int");
  CHECK(type_name<app::Account>() == "app::Account");
  CHECK(type_name<app::Color>() == "app::Color");
  CHECK(type_name<app::Cache<int>>() == "app::Cache<int>");
  CHECK(type_name<void>() == "void");
}

TEST_CASE("the library's types are named without their version", "[base][type_name]") {
  using genserver::CallSite;

  CHECK(type_name<CallSite>() == "genserver::CallSite");
  CHECK(type_name<app::Cache<CallSite>>() == "app::Cache<genserver::CallSite>");
  CHECK(type_name<mygenserver::v0::Account>() == "mygenserver::v0::Account");
}

TEST_CASE("a type's name keeps const and references", "[base][type_name]") {
  CHECK_THAT(std::string{type_name<const app::Account&>()},
             Catch::Matchers::ContainsSubstring("const app::Account"));
  CHECK(type_name<const app::Account&>().back() == '&');
}

TEST_CASE("types in unnamed namespaces and functions have a name", "[base][type_name]") {
  struct Local {};

  CHECK_THAT(std::string{type_name<app::Hidden>()}, Catch::Matchers::EndsWith("Hidden"));
  CHECK_THAT(std::string{type_name<Local>()}, Catch::Matchers::EndsWith("Local"));
}

TEST_CASE("names that look like the surroundings are whole", "[base][type_name]") {
  struct print {};
  struct T {};

  CHECK_THAT(std::string{type_name<print>()}, Catch::Matchers::EndsWith("print"));
  CHECK_THAT(std::string{type_name<T>()}, Catch::Matchers::EndsWith("T"));
  CHECK_THAT(std::string{type_name<int[3]>()}, Catch::Matchers::EndsWith("[3]"));
  CHECK_THAT(std::string{type_name<std::vector<int>>()},
             Catch::Matchers::StartsWith("std::vector<int"));
}

TEST_CASE("the name of a type is known to the compiler", "[base][type_name]") {
  constexpr std::string_view name = type_name<app::Account>();

  STATIC_REQUIRE(name == "app::Account");
}
