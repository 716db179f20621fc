// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/yield_governor.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>

using genserver::YieldGovernor;

TEST_CASE("yielding is soon over if nobody wants the processor", "[sync][yield_governor]") {
  CHECK(eventually([] { return YieldGovernor::yield(); }));
}

TEST_CASE("after a stranger there is no yielding for a while", "[sync][yield_governor]") {
  YieldGovernor governor;
  CHECK(governor.may_yield());

  governor.rest();

  CHECK_FALSE(governor.may_yield());
  CHECK(eventually([&] { return governor.may_yield(); }));
}

TEST_CASE("servers and their callers learn apart", "[sync][yield_governor]") {
  CHECK(&YieldGovernor::of_servers() != &YieldGovernor::of_callers());
  CHECK(&YieldGovernor::of_servers() == &YieldGovernor::of_servers());
}
