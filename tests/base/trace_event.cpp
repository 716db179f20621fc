// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/trace_event.hpp>

#include <support/catch.hpp>

#include <string>

using genserver::TraceEvent;

TEST_CASE("the steps of a message have names", "[base][trace_event]") {
  CHECK(to_string(TraceEvent::Kind::sent) == std::string{"sent"});
  CHECK(to_string(TraceEvent::Kind::received) == std::string{"received"});
  CHECK(to_string(TraceEvent::Kind::handled) == std::string{"handled"});
  CHECK(to_string(TraceEvent::Kind::replied) == std::string{"replied"});
}
