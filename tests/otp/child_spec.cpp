// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/child_spec.hpp>

#include <support/catch.hpp>
#include <support/thrown.hpp>

#include <stdexcept>
#include <string>

using namespace genserver;
using namespace std::chrono_literals;

TEST_CASE("a Shutdown is a duration, a kill or a wait without limit", "[otp][child_spec]") {
  const Shutdown time = 5s;
  const Shutdown kill = Shutdown::brutal_kill();
  const Shutdown endless = Shutdown::infinity();

  CHECK_FALSE(time.is_brutal_kill());
  CHECK_FALSE(time.deadline().has_passed());
  CHECK_FALSE(time.deadline().is_never());
  CHECK(kill.is_brutal_kill());
  CHECK(kill.deadline().has_passed());
  CHECK_FALSE(endless.is_brutal_kill());
  CHECK(endless.deadline().is_never());
  CHECK(time == Shutdown{5000ms});
  CHECK_FALSE(time == endless);
  CHECK_FALSE(kill == Shutdown{0s});
}

TEST_CASE("a Shutdown is never negative, and the longest is long", "[otp][child_spec]") {
  CHECK_THROWS_AS(Shutdown{-1ns}, InvalidArgument);
  CHECK_FALSE(Shutdown{std::chrono::hours::max()}.deadline().has_passed());
  CHECK(Shutdown{0s}.deadline().has_passed());
}

TEST_CASE("a specification says where it was written", "[otp][child_spec]") {
  const ChildSpec spec{.id = "a"};

  CHECK(has(to_string(spec.site), "child_spec.cpp"));
  CHECK(spec.restart == Restart::permanent);
  CHECK_FALSE(spec.shutdown);
  CHECK_FALSE(spec.significant);
  CHECK(spec.stop_by == StopBy::exit_signal);
}

TEST_CASE("whether a child is restarted depends on its Restart and its reason",
          "[otp][child_spec]") {
  const ExitReason crash = ExitReason::exception(std::make_exception_ptr(std::runtime_error{""}));

  for (const ExitReason& reason : {ExitReason::normal(), ExitReason::shutdown("done"), crash,
                                   ExitReason::killed(), ExitReason::no_server()}) {
    CHECK(is_restarted(Restart::permanent, reason));
    CHECK_FALSE(is_restarted(Restart::temporary, reason));
    CHECK(is_restarted(Restart::transient, reason) == reason.is_abnormal());
  }
}

TEST_CASE("a ChildError says why, and of which server", "[otp][child_spec]") {
  const ChildError error{ChildError::Kind::already_started, "a is there", Pid{7}};

  CHECK(error.kind() == ChildError::Kind::already_started);
  CHECK(error.holder() == Pid{7});
  CHECK(std::string{error.what()} == "a is there");
  CHECK(ChildError{ChildError::Kind::not_found, ""}.holder() == Pid{});
}

TEST_CASE("kinds and restarts have words", "[otp][child_spec]") {
  using Kind = ChildError::Kind;

  CHECK(std::string{to_string(Kind::already_present)} == "is already present");
  CHECK(std::string{to_string(Kind::restarting)} == "is being restarted");
  CHECK(std::string{to_string(Kind::max_children)} == "is one more than max_children allows");
  CHECK(std::string{to_string(Restart::permanent)} == "permanent");
  CHECK(std::string{to_string(Restart::temporary)} == "temporary");
}
