// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/server_record.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;

TEST_CASE("the turn is odd while a message runs, and its origin is shown", "[core][server_record]") {
  ServerRecord record{0};
  const std::uint64_t before = record.turn();
  const CallSite site = CallSite::here();

  record.begin_message(site, 7);
  CHECK(record.turn() == before + 1);
  CHECK(record.turn() % 2 == 1);
  CHECK(record.message_site() == site);
  CHECK(record.message_sender() == 7);

  record.end_message();
  CHECK(record.turn() == before + 2);
}

TEST_CASE("the stack of who runs a handler can be taken, else that of the server's own thread",
          "[core][server_record]") {
  ServerRecord record{0};
  CHECK(record.runner_stack().frames.empty());

  Gate may_end;
  ThreadRecord* home = nullptr;
  Gate is_set;
  std::thread other{[&] {
    home = &ThreadRecord::current();
    is_set.open();
    may_end.wait();
  }};
  is_set.wait();
  record.set_home(*home);
  record.set_runner(ThreadRecord::current());
  const auto shows_other = [&] {
    return to_text(record.runner_stack()).find("Gate::wait") != std::string::npos;
  };

  CHECK(eventually(shows_other));
  record.begin_message(CallSite::here(), 0);
  CHECK_FALSE(shows_other());
  CHECK(!record.runner_stack().frames.empty());
  may_end.open();
  other.join();
}

TEST_CASE("long waits are listed until they are taken out", "[core][server_record]") {
  ServerRecord record{0};
  LongWait wait;
  std::size_t listed = 0;

  record.with_long_waits([&](std::vector<LongWait*>& waits) { waits.push_back(&wait); });
  record.with_long_waits([&](std::vector<LongWait*>& waits) { listed = waits.size(); });

  CHECK(listed == 1);
}

TEST_CASE("a call site that others read is what was stored", "[core][server_record]") {
  SharedCallSite shared;
  const CallSite site = CallSite::here();

  shared.store(site);

  CHECK(shared.load() == site);
}
