// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/restart_window.hpp>

#include <support/catch.hpp>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

const RestartWindow::Clock::time_point start{100h};

}  // namespace

TEST_CASE("as many restarts as allowed fit into a window, and no more", "[otp][restart_window]") {
  RestartWindow window{2, 5s};

  CHECK(window.add(start));
  CHECK(window.add(start + 1s));
  CHECK_FALSE(window.add(start + 2s));
}

TEST_CASE("a window that allows no restarts refuses the first", "[otp][restart_window]") {
  RestartWindow window{0, 5s};

  CHECK_FALSE(window.add(start));
  CHECK_FALSE(window.add(start + 1h));
}

TEST_CASE("a restart leaves the window when it is older than that", "[otp][restart_window]") {
  RestartWindow window{1, 5s};

  CHECK(window.add(start));
  CHECK_FALSE(window.add(start + 5s));  // exactly as old: it still counts
  CHECK(window.add(start + 5s + 5s + 1ns));
}

TEST_CASE("refused restarts count, too", "[otp][restart_window]") {
  RestartWindow window{1, 5s};

  CHECK(window.add(start));
  CHECK_FALSE(window.add(start + 4s));
  CHECK_FALSE(window.add(start + 8s));
}
