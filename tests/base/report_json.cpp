// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/report_json.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

template <class Value>
std::string json_of(const Value& value) {
  JsonWriter json;
  write_json(json, value);
  return json.take();
}

}  // namespace

TEST_CASE("a member that is not set is left out", "[base][report_json]") {
  JsonWriter json;
  json.begin_object();
  write_set(json, "name", std::string{});
  write_set(json, "count", 0);
  write_set(json, "is_open", false);
  write_site(json, CallSite{});
  write_array(json, "frames", std::vector<Frame>{});
  write_set(json, "line", 7);

  CHECK(json.end_object().text() == R"({"line":7})");
}

TEST_CASE("a call site as JSON has the whole path", "[base][report_json]") {
  JsonWriter json;
  write_site(json.begin_object(), {"src/main.cpp", "main", 12});

  CHECK(json.end_object().text() ==
        R"({"site":{"file":"src/main.cpp","line":12,"function":"main"}})");
}

TEST_CASE("an edge as JSON has both ends, and no pid of who is no server", "[base][report_json]") {
  const WaitEdge edge{"main", Pid{}, "log", Pid{2}, WaitKind::future, {}, 1ms};

  CHECK(json_of(edge) ==
        R"({"waiter":"main","target":"log","target_pid":2,"kind":"future","age_ns":1000000})");
}

TEST_CASE("a frame as JSON has its addresses in base 16", "[base][report_json]") {
  Frame frame;
  frame.address = 0x7f00deadbeef;
  frame.function = "app::run";
  frame.module = "app";
  frame.offset = 0xbeef;
  frame.file = "run.cpp";
  frame.line = 7;
  frame.is_inlined = true;

  CHECK(json_of(frame) == R"({"address":"0x7f00deadbeef","function":"app::run","module":"app",)"
                          R"("offset":"0xbeef","file":"run.cpp","line":7,"inlined":true})");
}

TEST_CASE("a frame as JSON says whether text leaves it out", "[base][report_json]") {
  Frame frame;
  frame.function = "std::terminate";

  CHECK(json_of(frame) == R"({"function":"std::terminate","library":true})");
}

TEST_CASE("an array as JSON has one object for each item", "[base][report_json]") {
  JsonWriter json;
  write_array(json.begin_object(), "frames", std::vector<Frame>(2));

  CHECK(json.end_object().text() == R"({"frames":[{},{}]})");
}
