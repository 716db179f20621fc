// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/exit_reason.hpp>

#include <support/catch.hpp>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using genserver::describe;
using genserver::Exit;
using genserver::ExitReason;

namespace {

std::exception_ptr failure(const char* text) {
  return std::make_exception_ptr(std::runtime_error{text});
}

}  // namespace

TEST_CASE("only normal and shutdown are wanted ends", "[base][exit_reason]") {
  CHECK_FALSE(ExitReason::normal().is_abnormal());
  CHECK_FALSE(ExitReason::shutdown().is_abnormal());
  CHECK_FALSE(ExitReason::shutdown("upgrade").is_abnormal());
  CHECK(ExitReason::killed().is_abnormal());
  CHECK(ExitReason::exception(failure("no such file")).is_abnormal());
  CHECK(ExitReason::no_server().is_abnormal());
}

TEST_CASE("a reason tells its kind", "[base][exit_reason]") {
  CHECK(ExitReason::normal().kind() == ExitReason::Kind::normal);
  CHECK(ExitReason::shutdown("upgrade").kind() == ExitReason::Kind::shutdown);
  CHECK(ExitReason::killed().kind() == ExitReason::Kind::killed);
  CHECK(ExitReason::exception(failure("x")).kind() == ExitReason::Kind::exception);
  CHECK(ExitReason::no_server().kind() == ExitReason::Kind::no_server);
}

TEST_CASE("a reason is printed in words", "[base][exit_reason]") {
  CHECK(ExitReason::normal().what() == "normal");
  CHECK(ExitReason::shutdown().what() == "shutdown");
  CHECK(ExitReason::shutdown("upgrade").what() == "shutdown: upgrade");
  CHECK(ExitReason::killed().what() == "killed");
  CHECK(ExitReason::exception(failure("no such file")).what() == "exception: no such file");
  CHECK(ExitReason::no_server().what() == "no server");
}

TEST_CASE("fmt prints a reason as what() does", "[base][exit_reason]") {
  CHECK(fmt::format("<{}>", ExitReason::shutdown("upgrade")) == "<shutdown: upgrade>");
}

TEST_CASE("the exception that ended a server can be thrown again", "[base][exit_reason]") {
  const ExitReason reason = ExitReason::exception(failure("no such file"));

  REQUIRE(reason.cause() != nullptr);
  CHECK_THROWS_WITH(std::rethrow_exception(reason.cause()), "no such file");
}

TEST_CASE("a reason without an exception has no cause", "[base][exit_reason]") {
  CHECK(ExitReason::normal().cause() == nullptr);
  CHECK(ExitReason::shutdown("upgrade").cause() == nullptr);
  CHECK(ExitReason::exception(nullptr).cause() == nullptr);
}

TEST_CASE("the reason of a null exception is still abnormal", "[base][exit_reason]") {
  const ExitReason reason = ExitReason::exception(nullptr);

  CHECK(reason.is_abnormal());
  CHECK(reason.what() == "exception: no exception");
}

TEST_CASE("reasons are equal with the same kind and detail", "[base][exit_reason]") {
  CHECK(ExitReason::normal() == ExitReason::normal());
  CHECK(ExitReason::shutdown("upgrade") == ExitReason::shutdown("upgrade"));
  CHECK(ExitReason::shutdown("") == ExitReason::shutdown());
  CHECK(ExitReason::normal() != ExitReason::killed());
  CHECK(ExitReason::shutdown("upgrade") != ExitReason::shutdown("update"));
  CHECK(ExitReason::shutdown("upgrade") != ExitReason::shutdown());
  CHECK(ExitReason::shutdown() != ExitReason::shutdown("upgrade"));
}

TEST_CASE("exceptions are equal only if they are the same object", "[base][exit_reason]") {
  const std::exception_ptr first = failure("x");

  CHECK(ExitReason::exception(first) == ExitReason::exception(first));
  CHECK(ExitReason::exception(first) != ExitReason::exception(failure("x")));
}

TEST_CASE("copies of a reason keep the exception alive", "[base][exit_reason]") {
  auto tracked = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = tracked;
  auto reason = std::make_unique<ExitReason>(
      ExitReason::exception(std::make_exception_ptr(std::move(tracked))));
  auto copy = std::make_unique<ExitReason>(*reason);

  reason.reset();
  CHECK_FALSE(alive.expired());
  copy.reset();
  CHECK(alive.expired());
}

TEST_CASE("a copy of a reason is equal to it and cheap", "[base][exit_reason]") {
  const ExitReason reason = ExitReason::exception(failure("no such file"));

  const std::vector<ExitReason> copies(3, reason);

  CHECK(copies[2] == reason);
  CHECK(copies[2].what() == reason.what());
  STATIC_REQUIRE(std::is_nothrow_copy_constructible_v<ExitReason>);
}

TEST_CASE("an exception of any type is described", "[base][exit_reason]") {
  CHECK(describe(failure("no such file")) == "no such file");
  CHECK(describe(std::make_exception_ptr(7)) == "an exception that is not a std::exception");
  CHECK(describe(nullptr) == "no exception");
  CHECK(ExitReason::exception(std::make_exception_ptr(7)).what() ==
        "exception: an exception that is not a std::exception");
}

TEST_CASE("an Exit passes a handler that catches std::exception", "[base][exit_reason]") {
  const auto careful_handler = [] {
    try {
      throw Exit{ExitReason::shutdown("done")};
    } catch (const std::exception&) {
    }
  };

  try {
    careful_handler();
    FAIL("the Exit was caught");
  } catch (const Exit& exit) {
    CHECK(exit.reason == ExitReason::shutdown("done"));
  }
}

TEST_CASE("an Exit without a reason is normal", "[base][exit_reason]") {
  CHECK(Exit{}.reason == ExitReason::normal());
}
