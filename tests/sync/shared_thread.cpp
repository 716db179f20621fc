// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/shared_thread.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

using genserver::SharedThread;

TEST_CASE("every thread that joins waits for the end", "[sync][shared_thread]") {
  struct Shared {
    Gate may_end{};
    std::atomic<bool> has_ended{false};
    SharedThread thread{};
  } shared;
  const auto function = [](void* argument) {
    static_cast<Shared*>(argument)->may_end.wait();
    static_cast<Shared*>(argument)->has_ended = true;
  };
  shared.thread.start(function, &shared, 0);
  std::atomic<int> early{0};
  std::vector<std::thread> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back([&] {
      shared.thread.join();
      early += shared.has_ended ? 0 : 1;
    });
  }

  shared.may_end.open();
  for (std::thread& thread : waiting) thread.join();

  CHECK(early == 0);
}

TEST_CASE("a thread may let itself go, and nobody waits for it then", "[sync][shared_thread]") {
  struct Shared {
    std::atomic<bool> is_detached{false};
    SharedThread thread{};
  } shared;
  const auto function = [](void* argument) {
    static_cast<Shared*>(argument)->thread.detach();
    static_cast<Shared*>(argument)->is_detached = true;
  };

  shared.thread.start(function, &shared, 0);

  CHECK(eventually([&] { return shared.is_detached.load(); }));
  shared.thread.join();
}

TEST_CASE("a thread that joins itself lets itself go instead", "[sync][shared_thread]") {
  struct Shared {
    std::atomic<bool> has_joined{false};
    SharedThread thread{};
  } shared;
  const auto function = [](void* argument) {
    auto& self = *static_cast<Shared*>(argument);
    self.thread.begin();
    self.thread.join();
    self.has_joined = true;
  };

  shared.thread.start(function, &shared, 0);

  CHECK(eventually([&] { return shared.has_joined.load(); }));
}

TEST_CASE("a thread that lets itself go at once is let go, be its starter still busy",
          "[sync][shared_thread]") {
  struct Shared {
    std::atomic<int> ended{0};
    SharedThread thread{};
  };
  constexpr int count = 200;
  std::vector<Shared> all(count);
  const auto function = [](void* argument) {
    auto& self = *static_cast<Shared*>(argument);
    self.thread.detach();
    self.ended = 1;
  };

  for (Shared& each : all) each.thread.start(function, &each, 0);

  CHECK(eventually([&] {
    int ended = 0;
    for (const Shared& each : all) ended += each.ended;
    return ended == count;
  }));
  for (Shared& each : all) CHECK_FALSE(each.thread.is_joinable());
}

TEST_CASE("a thread that lets itself go while another joins it ends once",
          "[sync][shared_thread]") {
  struct Shared {
    Gate is_joined{};
    Gate has_let_go{};
    SharedThread thread{};
  } shared;
  const auto function = [](void* argument) {
    auto& self = *static_cast<Shared*>(argument);
    self.is_joined.wait();
    self.thread.detach();
    self.has_let_go.open();
  };
  shared.thread.start(function, &shared, 0);
  std::thread joining{[&] {
    shared.is_joined.open();
    shared.thread.join();
  }};

  joining.join();
  shared.has_let_go.wait();

  CHECK_FALSE(shared.thread.is_joinable());
}

#if defined(__linux__)
TEST_CASE("a thread that is cancelled while it joins another ends afterwards",
          "[sync][shared_thread]") {
  Gate go_on;
  std::atomic<bool> has_joined{false};
  SharedThread thread;
  thread.start([](void* gate) { static_cast<Gate*>(gate)->wait(); }, &go_on, 0);
  std::thread joining{[&] {
    thread.join();
    has_joined = true;
  }};

  ::pthread_cancel(joining.native_handle());
  go_on.open();
  joining.join();

  CHECK(has_joined);
}
#endif

TEST_CASE("a small stack is made as large as the system demands", "[sync][shared_thread]") {
  bool has_run = false;
  SharedThread thread;

  thread.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &has_run, 1);
  thread.join();

  CHECK(has_run);
}

TEST_CASE("a stack that cannot be had is an error, and leaves nothing to join",
          "[sync][shared_thread]") {
  SharedThread thread;

  CHECK_THROWS_AS(thread.start([](void*) {}, nullptr, static_cast<std::size_t>(-1) / 2),
                  std::system_error);

  thread.join();
}
