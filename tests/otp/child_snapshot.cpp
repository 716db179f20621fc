// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/child_snapshot.hpp>

#include <support/catch.hpp>

#include <string>

using namespace genserver;

TEST_CASE("what is told of no child is empty", "[otp][child_snapshot]") {
  const ChildSnapshot child;

  CHECK(child.id.empty());
  CHECK(child.status == ChildStatus::stopped);
  CHECK_FALSE(child.server);
  CHECK_FALSE(child.is_supervisor);
}

TEST_CASE("counts of children can be compared", "[otp][child_snapshot]") {
  CHECK(ChildCounts{3, 2, 1, 2} == ChildCounts{3, 2, 1, 2});
  CHECK_FALSE(ChildCounts{3, 2, 1, 2} == ChildCounts{3, 1, 1, 2});
  CHECK(ChildCounts{} == ChildCounts{0, 0, 0, 0});
}
