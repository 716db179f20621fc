// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/callee.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>

#include <stdexcept>
#include <string>
#include <thread>

using namespace genserver;
using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;

namespace {

std::size_t long_waits_of(const Callee& callee) {
  std::size_t count = 0;
  callee.record().with_long_waits([&](std::vector<LongWait*>& waits) { count = waits.size(); });
  return count;
}

}  // namespace

TEST_CASE("a callee is in the directory as long as it lives", "[core][callee]") {
  ServerRecord* record = nullptr;
  std::string shown;
  {
    const Callee callee{{.name = "ledger"}};
    record = &callee.record();
    record->with_identity([&](const ServerIdentity& identity) { shown = identity.name; });
    CHECK(callee.name() == "ledger");
    CHECK(callee.pid() != Pid{});
  }

  CHECK(shown == "ledger");
  CHECK(!record->with_identity([](const ServerIdentity&) {}));
}

TEST_CASE("options that make no sense are refused by name", "[core][callee]") {
  CHECK_THROWS_AS((Callee{{.name = "x", .mailbox_capacity = 0}}), InvalidArgument);
  CHECK_THROWS_WITH((Callee{{.name = "x", .mailbox_capacity = 40000}}),
                    ContainsSubstring("mailbox_capacity is 40000"));
}

TEST_CASE("a refusal is thrown as its own error, which names server and place", "[core][callee]") {
  const Callee callee{{.name = "ledger"}};
  const CallSite site = CallSite::here();
  const auto raise = [&](Refusal::Kind kind) {
    callee.raise({kind, ExitReason::shutdown("closing")}, WaitKind::call, site);
  };

  CHECK_THROWS_AS(raise(Refusal::Kind::gone), ServerGone);
  CHECK_THROWS_AS(raise(Refusal::Kind::mailbox_full), MailboxFull);
  CHECK_THROWS_AS(raise(Refusal::Kind::no_reply), NoReply);
  CHECK_THROWS_WITH(raise(Refusal::Kind::gone), ContainsSubstring("ledger:") &&
                                                    ContainsSubstring("callee.cpp:") &&
                                                    ContainsSubstring("shutdown: closing"));
}

TEST_CASE("the exception that ended a server is nested in ServerGone", "[core][callee]") {
  const Callee callee{{.name = "ledger"}};
  const auto reason = ExitReason::exception(std::make_exception_ptr(std::out_of_range{"row 7"}));
  std::string nested;

  try {
    callee.raise({Refusal::Kind::gone, reason}, WaitKind::call, CallSite::here());
  } catch (const ServerGone& gone) {
    try {
      std::rethrow_if_nested(gone);
    } catch (const std::out_of_range& cause) {
      nested = cause.what();
    }
  }

  CHECK(nested == "row 7");
}

TEST_CASE("awaiting ends with the event or the deadline", "[core][callee]") {
  Callee callee{{.name = "ledger"}};
  OneShot never;
  OneShot set;
  set.set();

  CHECK(callee.await(set, WaitKind::call, CallSite::here(), Deadline::never()));
  CHECK(!callee.await(never, WaitKind::call, CallSite::here(), Deadline::after(1ms)));
}

TEST_CASE("the watchdog is told of who waits for half of stuck_after", "[core][callee]") {
  Callee callee{{.name = "ledger", .stuck_after = 2ms}};
  OneShot done;
  std::thread waiting{
      [&] { callee.await(done, WaitKind::call, CallSite::here(), Deadline::never()); }};

  const bool is_told = eventually([&] { return long_waits_of(callee) == 1; });
  done.set();
  waiting.join();

  CHECK(is_told);
  CHECK(long_waits_of(callee) == 0);
}

TEST_CASE("with stuck_after 0 the watchdog is never told", "[core][callee]") {
  const Callee callee{{.name = "ledger", .stuck_after = 0ms}};
  LongWaitScope wait{callee, WaitKind::room, CallSite::here()};

  CHECK(wait.tell_at().is_never());
  wait.tell_if_long();

  CHECK(long_waits_of(callee) == 0);
}

TEST_CASE("outside of handlers no callee is oneself", "[core][callee]") {
  Callee callee{{.name = "ledger"}};
  CHECK(!callee.is_self());

  const RunningScope scope{callee};

  CHECK(callee.is_self());
}
