// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/error.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace genserver;

namespace {

template <class Derived>
constexpr bool is_error = std::is_base_of_v<Error, Derived>;

}  // namespace

TEST_CASE("everything the library throws can be caught as Error", "[base][error]") {
  STATIC_REQUIRE(is_error<ServerGone>);
  STATIC_REQUIRE(is_error<CallTimeout>);
  STATIC_REQUIRE(is_error<Deadlock>);
  STATIC_REQUIRE(is_error<MailboxFull>);
  STATIC_REQUIRE(is_error<NoReply>);
  STATIC_REQUIRE(is_error<SelfWait>);
  STATIC_REQUIRE(is_error<NameTaken>);
  STATIC_REQUIRE(is_error<StartFailed>);
  STATIC_REQUIRE(is_error<InvalidArgument>);
  STATIC_REQUIRE(is_error<Forked>);
}

TEST_CASE("an Error is a std::runtime_error with its message", "[base][error]") {
  try {
    throw MailboxFull{"the mailbox of log is full"};
  } catch (const std::runtime_error& error) {
    CHECK(std::string_view{error.what()} == "the mailbox of log is full");
  }
}

TEST_CASE("ServerGone tells why the server ended", "[base][error]") {
  const ServerGone gone{"log has ended", ExitReason::shutdown("upgrade")};

  CHECK(gone.reason() == ExitReason::shutdown("upgrade"));
  CHECK(std::string_view{gone.what()} == "log has ended");
}

TEST_CASE("ServerGone can carry the exception that ended the server", "[base][error]") {
  const auto fail = [] {
    try {
      throw std::logic_error{"disk full"};
    } catch (...) {
      std::throw_with_nested(ServerGone{"gone", ExitReason::exception(std::current_exception())});
    }
  };

  try {
    fail();
    FAIL("nothing was thrown");
  } catch (const ServerGone& gone) {
    CHECK(gone.reason().what() == "exception: disk full");
    CHECK_THROWS_AS(std::rethrow_if_nested(gone), std::logic_error);
  }
}

TEST_CASE("CallTimeout tells how far the call had come", "[base][error]") {
  const CallTimeout timeout{"too late", CallTimeout::Phase::queued};

  CHECK(timeout.phase() == CallPhase::queued);
}

TEST_CASE("the phases of a call have names", "[base][error]") {
  CHECK(to_string(CallPhase::not_sent) == std::string_view{"not sent"});
  CHECK(to_string(CallPhase::queued) == std::string_view{"queued"});
  CHECK(to_string(CallPhase::running) == std::string_view{"running"});
  CHECK(to_string(CallPhase::parked) == std::string_view{"parked"});
}

TEST_CASE("the kinds of waiting have names", "[base][error]") {
  CHECK(to_string(WaitKind::call) == std::string_view{"call"});
  CHECK(to_string(WaitKind::future) == std::string_view{"future"});
  CHECK(to_string(WaitKind::room) == std::string_view{"cast"});
  CHECK(to_string(WaitKind::stop) == std::string_view{"stop"});
  CHECK(to_string(WaitKind::start) == std::string_view{"start"});
}

TEST_CASE("Deadlock shows every edge of the circle in order", "[base][error]") {
  const WaitEdge there{"a", Pid{1}, "b", Pid{2}, WaitKind::call, {"a.cpp", "f", 1}};
  const WaitEdge back{"b", Pid{2}, "a", Pid{1}, WaitKind::room, {"b.cpp", "g", 2}};
  const Deadlock deadlock{"a and b", {there, back}};

  REQUIRE(deadlock.cycle().size() == 2);
  CHECK(deadlock.cycle()[0].waiter == "a");
  CHECK(deadlock.cycle()[0].target_pid == Pid{2});
  CHECK(deadlock.cycle()[1].waiter == "b");
  CHECK(deadlock.cycle()[1].kind == WaitKind::room);
  CHECK(deadlock.cycle()[1].site.line == 2);
}

TEST_CASE("an edge whose age is not known has none", "[base][error]") {
  const WaitEdge edge{"a", Pid{1}, "b", Pid{2}, WaitKind::call, {"a.cpp", "f", 1}};

  CHECK(edge.age == std::chrono::nanoseconds{0});
}

TEST_CASE("NameTaken tells who holds the name", "[base][error]") {
  CHECK(NameTaken{"log is taken", Pid{7}}.holder() == Pid{7});
}

TEST_CASE("an Error that is copied keeps what it tells", "[base][error]") {
  const ServerGone gone{"log has ended", ExitReason::killed()};
  std::exception_ptr carried = std::make_exception_ptr(gone);

  try {
    std::rethrow_exception(carried);
  } catch (const Error& error) {
    const auto* copy = dynamic_cast<const ServerGone*>(&error);
    REQUIRE(copy != nullptr);
    CHECK(copy->reason() == ExitReason::killed());
  }
}
