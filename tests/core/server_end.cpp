// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/server_end.hpp>

#include <support/catch.hpp>

using namespace genserver;

TEST_CASE("the reason is told to the refused at once, and to all when it is over",
          "[core][server_end]") {
  ServerEnd end;
  end.set_reason(ExitReason::shutdown("upgrade"));

  CHECK(end.refusal().reason == ExitReason::shutdown("upgrade"));
  CHECK(!end.reason());
  CHECK(!end.is_over());

  end.publish();
  CHECK(end.is_over());
  CHECK(end.reason() == ExitReason::shutdown("upgrade"));
}

TEST_CASE("what is to come last comes once, and not if it is set too late", "[core][server_end]") {
  ServerEnd end;
  int times = 0;
  const auto count = [](void* counter) { ++*static_cast<int*>(counter); };

  CHECK(end.set_last(count, &times));
  end.do_last();
  CHECK(times == 1);
  CHECK(!end.set_last(count, &times));
}
