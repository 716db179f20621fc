// SPDX-License-Identifier: BSL-1.0
// What servers of the parent mean in a child made by fork().
#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/in_child.hpp>

#include <memory>
#include <thread>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

template <class Function>
bool throws_forked(Function&& function) {
  try {
    function();
  } catch (const Forked&) {
    return true;
  } catch (...) {
  }
  return false;
}

}  // namespace

TEST_CASE("in a child of fork every entry says so, and nothing waits", "[core][fork]") {
  auto owner = std::make_unique<GenServer<int>>(Options{.name = "parent"}, 1);
  const auto server = owner->ref();
  auto answer = server.call([](int& n) { return n; });
  auto pending = server.async_call([](int& n) { return n; });

  const int told = in_child([&] {
    int count = 0;
    count += throws_forked([&] { server.call([](int&) {}); });
    count += throws_forked([&] { server.call_for(1s, [](int&) {}); });
    count += throws_forked([&] { server.cast([](int&) {}); });
    count += throws_forked([&] { server.async_call([](int&) {}); });
    count += throws_forked([&] { server.cast_after(1s, [](int&) {}); });
    count += throws_forked([&] { server.stop(); });
    count += throws_forked([&] { owner->stop(); });
    count += throws_forked([&] { GenServer<int> another{{.name = "child"}, 0}; });
    owner.reset();  // does not wait for a thread that is not here
    return count;
  });

  CHECK(told == 8);
  CHECK(answer == 1);
  CHECK(pending.get() == 1);  // the parent's servers go on
}

TEST_CASE("a handler that forks on its caller's thread does not wait for its end in the child",
          "[core][fork]") {
  GenServer<int> server{{.name = "forking", .run_calls = RunCalls::on_caller_when_idle}, 1};
  REQUIRE(eventually([&] {
    return server.call([](int&) { return std::this_thread::get_id(); }) ==
           std::this_thread::get_id();
  }));

  pid_t child = -1;
  const bool is_forked = throws_forked([&] {
    server.call([&](int&) {
      child = ::fork();
      if (child == 0) throw Exit{ExitReason::shutdown()};
    });
  });
  if (child == 0) ::_exit(is_forked ? 7 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);

  CHECK_FALSE(is_forked);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
  CHECK(server.call([](int& n) { return n; }) == 1);
}
