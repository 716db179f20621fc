// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/service_error.hpp>

#include <support/catch.hpp>
#include <support/thrown.hpp>

#include <stdexcept>
#include <string>

using namespace genserver;

using Kind = ServiceError::Kind;

TEST_CASE("a service's error names the service, what it did and where it was asked for",
          "[otp][service_error]") {
  const ServiceError error{Kind::already_running, "ticker", "start at main.cpp:7 in main"};

  CHECK(error.kind() == Kind::already_running);
  CHECK(error.service() == "ticker");
  CHECK(std::string{error.what()} ==
        "service \"ticker\" runs already: start at main.cpp:7 in main");
}

TEST_CASE("every kind has its own words", "[otp][service_error]") {
  for (int kind = 0; kind <= static_cast<int>(Kind::restart_limit); ++kind) {
    for (int other = 0; other < kind; ++other) {
      CHECK(std::string{to_string(static_cast<Kind>(kind))} !=
            to_string(static_cast<Kind>(other)));
    }
  }
}

TEST_CASE("a service's own error is kept as the reason of one that names the service",
          "[otp][service_error]") {
  const auto cause = std::make_exception_ptr(std::out_of_range{"no such port"});
  const ServiceFailure other = failure_of(Kind::not_ready, "mail");

  const ServiceFailure own = own_failure({"web", ExitReason::exception(cause)});
  const ServiceFailure nested = own_failure({"web", other.reason});
  const ServiceFailure copy = own_failure(other);

  const auto error = thrown<ServiceError>([&] { raise({own}); });
  CHECK(error->kind() == Kind::failed);
  CHECK(error->reason().cause() == cause);
  CHECK(thrown<ServiceError>([&] { raise({nested}); })->service() == "web");
  CHECK(thrown<ServiceError>([&] { raise({copy}); })->kind() == Kind::not_ready);
  CHECK(copy.reason.cause() != other.reason.cause());
}

TEST_CASE("what nobody has done wrong is not thrown", "[otp][service_error]") {
  CHECK_NOTHROW(raise({}));
}

TEST_CASE("one failure is thrown as the exception that it is", "[otp][service_error]") {
  const auto cause = std::make_exception_ptr(std::out_of_range{"no such port"});

  const auto error = thrown<std::out_of_range>([&] {
    raise({{"web", ExitReason::exception(cause)}});
  });

  REQUIRE(error.has_value());
  CHECK(std::string{error->what()} == "no such port");
}

TEST_CASE("several failures are thrown as one that lists all", "[otp][service_error]") {
  const auto cause = std::make_exception_ptr(std::out_of_range{"no such port"});

  const auto errors = thrown<ServiceErrors>([&] {
    raise({{"web", ExitReason::exception(cause)}, failure_of(Kind::not_ready, "mail")});
  });

  REQUIRE(errors.has_value());
  REQUIRE(errors->failures().size() == 2);
  CHECK(errors->failures()[0].service == "web");
  CHECK(errors->failures()[0].reason.cause() == cause);
  CHECK(std::string{errors->what()} ==
        "2 services failed: \"web\": no such port; \"mail\": service \"mail\" returned without "
        "having called ready()");
}
