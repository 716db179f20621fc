// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/server_end.hpp>

#include <support/catch.hpp>

#include <memory>

using namespace genserver;

TEST_CASE("the reason is told to the refused at once, and to all when it is over",
          "[core][server_end]") {
  ServerEnd end;
  end.set_reason(ExitReason::shutdown("upgrade"));

  CHECK(end.refusal().reason == ExitReason::shutdown("upgrade"));
  CHECK(!end.reason());
  CHECK(!end.is_over());

  end.publish({Pid{1}, "ended", ExitReason::normal()});
  CHECK(end.is_over());
  CHECK(end.done().is_set());
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

TEST_CASE("watchers are told when it is over, and before who waits is woken",
          "[core][server_end]") {
  struct Watcher final : ExitWatcher {
    explicit Watcher(ServerEnd& its_end) : end{its_end} {}
    void on_exit(const ExitedServer&) noexcept override {
      was_over = end.is_over();
      was_done = end.done().is_set();
    }
    ServerEnd& end;
    bool was_over = false;
    bool was_done = true;
  };
  ServerEnd end;
  const auto watcher = std::make_shared<Watcher>(end);
  CHECK(end.watchers().add(watcher));

  end.publish({Pid{1}, "ended", ExitReason::normal()});

  CHECK(watcher->was_over);
  CHECK_FALSE(watcher->was_done);
}
