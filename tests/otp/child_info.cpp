// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/child_info.hpp>

#include <support/catch.hpp>

#include <string>

using namespace genserver;

TEST_CASE("what is told of no child is empty", "[otp][child_info]") {
  const ChildInfo info;

  CHECK(info.id.empty());
  CHECK(info.status == ChildStatus::stopped);
  CHECK_FALSE(info.server);
  CHECK_FALSE(info.is_supervisor);
}

TEST_CASE("counts of children can be compared", "[otp][child_info]") {
  CHECK(ChildCounts{3, 2, 1, 2} == ChildCounts{3, 2, 1, 2});
  CHECK_FALSE(ChildCounts{3, 2, 1, 2} == ChildCounts{3, 1, 1, 2});
  CHECK(ChildCounts{} == ChildCounts{0, 0, 0, 0});
}
