// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/call_site.hpp>

#include <support/catch.hpp>

#include <string>
#include <string_view>

using genserver::CallSite;
using genserver::to_string;

namespace {

CallSite request(CallSite site = CallSite::here()) { return site; }

// As a class that takes the call site of whoever makes it.
struct Request {
  Request(int, CallSite made_at = CallSite::here()) : site{made_at} {}
  CallSite site;
};

}  // namespace

TEST_CASE("a request knows the line it was written on", "[base][call_site]") {
  const unsigned before = __LINE__;
  const CallSite site = request();

  CHECK(site.line == before + 1);
  CHECK(site.file_name() == "call_site.cpp");
  CHECK(std::string_view{site.function} == __func__);
}

TEST_CASE("a constructor's call site is where the object is made", "[base][call_site]") {
  const unsigned before = __LINE__;
  const Request made{1};

  CHECK(made.site.line == before + 1);
  CHECK(std::string_view{made.site.function} == __func__);
}

TEST_CASE("two requests of one line can be told from those of another", "[base][call_site]") {
  const CallSite first = request(), second = request();
  const CallSite third = request();

  CHECK(first == second);
  CHECK(first != third);
}

TEST_CASE("call sites are compared by their text", "[base][call_site]") {
  const std::string file = "app.cpp";
  const std::string function = "run";

  CHECK(CallSite{"app.cpp", "run", 7} == CallSite{file.c_str(), function.c_str(), 7});
  CHECK(CallSite{"app.cpp", "run", 7} != CallSite{"lib.cpp", "run", 7});
  CHECK(CallSite{"app.cpp", "run", 7} != CallSite{"app.cpp", "stop", 7});
  CHECK(CallSite{"app.cpp", "run", 7} != CallSite{"app.cpp", "run", 8});
}

TEST_CASE("a file is named without its folders", "[base][call_site]") {
  CHECK(CallSite{"src/net/peer.cpp", "f", 1}.file_name() == "peer.cpp");
  CHECK(CallSite{"src\\net\\peer.cpp", "f", 1}.file_name() == "peer.cpp");
  CHECK(CallSite{"peer.cpp", "f", 1}.file_name() == "peer.cpp");
  CHECK(CallSite{"", "f", 1}.file_name().empty());
}

TEST_CASE("a call site is printed as a place that a person finds", "[base][call_site]") {
  CHECK(to_string(CallSite{"src/account.cpp", "main", 42}) == "account.cpp:42 in main");
}

TEST_CASE("an unknown call site is printed as such", "[base][call_site]") {
  CHECK(to_string(CallSite{}) == "an unknown place");
}

TEST_CASE("a call site can be a constant expression", "[base][call_site]") {
  constexpr CallSite site = CallSite::here();

  STATIC_REQUIRE(site.file_name() == "call_site.cpp");
  STATIC_REQUIRE(site == site);
}
