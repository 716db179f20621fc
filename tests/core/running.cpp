// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/running.hpp>

#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>

#include <thread>

using namespace genserver;

TEST_CASE("outside of handlers no server runs", "[core][running]") {
  CHECK(Running::now() == nullptr);
}

TEST_CASE("in a handler its server runs, and not on the threads the handler starts",
          "[core][running]") {
  GenServer<int> server{{.name = "server"}, 0};
  bool is_set_inside = false;
  bool is_set_in_helper = true;

  server.call([&](int&) {
    is_set_inside = Running::now() != nullptr;
    std::thread helper{[&] { is_set_in_helper = Running::now() != nullptr; }};
    helper.join();
  });

  CHECK(is_set_inside);
  CHECK(!is_set_in_helper);
}

TEST_CASE("servers that run on one stack are linked from the inside out", "[core][running]") {
  GenServer<int> outer{{.name = "outer", .run_calls = RunCalls::on_caller_when_idle}, 0};
  GenServer<int> inner{{.name = "inner", .run_calls = RunCalls::on_caller_when_idle}, 0};
  const auto runs_here = [](const GenServer<int>& server) {  // its thread has gone to sleep
    const auto runner = [&] { return server.call([] { return std::this_thread::get_id(); }); };
    return eventually([&] { return runner() == std::this_thread::get_id(); });
  };
  REQUIRE(runs_here(outer));
  REQUIRE(runs_here(inner));
  bool is_linked = false;

  outer.call([&](int&) {
    inner.call([&](int&) { is_linked = Running::now()->outer != nullptr; });
  });

  CHECK(is_linked);
  CHECK(Running::now() == nullptr);
}
