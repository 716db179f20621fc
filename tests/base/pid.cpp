// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/pid.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <limits>
#include <set>
#include <type_traits>
#include <unordered_set>

using genserver::Pid;

TEST_CASE("a default-made pid names no server", "[base][pid]") {
  CHECK(Pid{} == Pid{0});
  CHECK(Pid{} != Pid{1});
}

TEST_CASE("pids are ordered by their number", "[base][pid]") {
  CHECK(Pid{1} < Pid{2});
  CHECK(Pid{std::uint64_t{1} << 32} > Pid{std::numeric_limits<std::uint32_t>::max()});
  CHECK(std::set<Pid>{Pid{3}, Pid{1}, Pid{3}}.size() == 2);
}

TEST_CASE("a pid is a key of hash tables", "[base][pid]") {
  const std::unordered_set<Pid> servers{Pid{3}, Pid{1}, Pid{3}};

  CHECK(servers.size() == 2);
  CHECK(servers.count(Pid{3}) == 1);
  CHECK(servers.count(Pid{2}) == 0);
}

TEST_CASE("a pid is printed as its number", "[base][pid]") {
  CHECK(fmt::format("<{}>", Pid{42}) == "<42>");
  CHECK(fmt::format("{}", Pid{std::numeric_limits<std::uint64_t>::max()}) ==
        "18446744073709551615");
}

TEST_CASE("a number does not become a pid by accident", "[base][pid]") {
  STATIC_REQUIRE_FALSE(std::is_convertible_v<std::uint64_t, Pid>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<Pid, std::uint64_t>);
  STATIC_REQUIRE(Pid{7}.value() == 7);
}
