// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/snapshot_text.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <string>

using namespace genserver;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr CallSite site{"src/main.cpp", "collect", 12};

ServerSnapshot server_named(const std::string& name, unsigned pid) {
  ServerSnapshot server;
  server.name = name;
  server.pid = Pid{pid};
  server.age = 90s;
  server.mailbox_size = 3;
  server.mailbox_capacity = 8;
  server.mailbox_high_water = 5;
  server.counts.handled = 42;
  return server;
}

/// A waits for B, and B for A; C waits for A.
Snapshot circle() {
  Snapshot all;
  all.servers = {server_named("a", 1), server_named("b", 2), server_named("c", 3)};
  const unsigned targets[] = {2, 1, 1};
  const char* const names[] = {"b", "a", "a"};
  for (unsigned i = 0; i < 3; ++i) {
    ServerSnapshot& server = all.servers[i];
    server.activity = ServerSnapshot::Activity::waiting;
    server.waits_for = WaitEdge{server.name, server.pid, names[i], Pid{targets[i]},
                                WaitKind::call, site, 2s};
  }
  return all;
}

}  // namespace

TEST_CASE("without servers there is one line", "[core][snapshot_text]") {
  CHECK(to_text(Snapshot{}) == "0 servers\n");
  CHECK(to_json(Snapshot{}) == R"({"servers":[]})");
  CHECK(to_dot(Snapshot{}) == "digraph servers {\n  node [shape=box]\n}\n");
}

TEST_CASE("the text tells what a server is doing, and its numbers", "[core][snapshot_text]") {
  Snapshot all;
  all.servers.push_back(server_named("store", 7));
  all.servers[0].counts.exceptions = 2;
  all.servers[0].handling.add(Histogram::bucket_of(1us), 10);

  CHECK(to_text(all) ==
        "1 server\n"
        "  store:7 is idle, started 90.0 s ago\n"
        "    mailbox: 3 of 8 places taken, 5 at most; handled 42, 2 threw\n"
        "    ran: half within 1 us, 99 % within 1 us\n");
}

TEST_CASE("the text tells what is being handled, from where and for how long",
          "[core][snapshot_text]") {
  Snapshot all;
  all.servers.push_back(server_named("store", 7));
  all.servers[0].activity = ServerSnapshot::Activity::running;
  all.servers[0].message = {site, "collector", Pid{3}, 1500ms};

  const std::string text = to_text(all);

  CHECK_THAT(text, ContainsSubstring("store:7 is running for 1.5 s, started 90.0 s ago\n"));
  CHECK_THAT(text, ContainsSubstring("handles what was sent by collector:3 at main.cpp:12 in "
                                     "collect\n"));
}

TEST_CASE("the text tells who waits for whom", "[core][snapshot_text]") {
  Snapshot all = circle();
  all.servers[1].callers.push_back({"a thread", Pid{}, WaitKind::call, site, 3s});

  const std::string text = to_text(all);

  CHECK_THAT(text, ContainsSubstring("a:1 waits for b:2 (call at main.cpp:12 in collect), for "
                                     "2.0 s\n"));
  CHECK_THAT(text, ContainsSubstring("a thread waits for b:2 (call at main.cpp:12 in collect)"));
}

TEST_CASE("stacks are printed below their server", "[core][snapshot_text]") {
  Snapshot all;
  all.servers.push_back(server_named("store", 7));
  all.servers[0].stack.frames.push_back({16, "app::save()", "app", 16, "save.cpp", 4, false});

  CHECK_THAT(to_text(all), ContainsSubstring("      #0  app::save()  at save.cpp:4\n"));
}

TEST_CASE("the picture shows servers and waits, those of a circle in red",
          "[core][snapshot_text]") {
  const std::string dot = to_dot(circle());

  CHECK_THAT(dot, ContainsSubstring("  1 [label=\"a:1\\nwaiting, 3 of 8\", color=red]\n"));
  CHECK_THAT(dot, ContainsSubstring("  3 [label=\"c:3\\nwaiting, 3 of 8\"]\n"));
  CHECK_THAT(dot, ContainsSubstring(
                      "  1 -> 2 [label=\"call at main.cpp:12 in collect\", color=red]\n"));
  CHECK_THAT(dot, ContainsSubstring("  3 -> 1 [label=\"call at main.cpp:12 in collect\"]\n"));
}

TEST_CASE("a name with quotation marks is no end of a label", "[core][snapshot_text]") {
  Snapshot all;
  all.servers.push_back(server_named(R"(say "hi" \o/)", 1));

  CHECK_THAT(to_dot(all), ContainsSubstring(R"([label="say \"hi\" \\o/:1)"));
}

TEST_CASE("JSON has everything as fields", "[core][snapshot_text]") {
  Snapshot all;
  all.servers.push_back(server_named("store", 7));
  all.servers[0].activity = ServerSnapshot::Activity::waiting;
  all.servers[0].message = {site, "collector", Pid{3}, 5ns};
  all.servers[0].waits_for = WaitEdge{"store", Pid{7}, "disk", Pid{8}, WaitKind::room, site, 2ns};
  all.servers[0].waiting.add(0, 2);

  CHECK(to_json(all) ==
        R"({"servers":[{"server":"store","pid":7,"activity":"waiting","age_ns":90000000000,)"
        R"("mailbox":{"size":3,"capacity":8,"high_water":5},)"
        R"("counts":{"handled":42,"exceptions":0,"timed_out":0,"refused":0,"dropped":0},)"
        R"("message":{"age_ns":5,"site":{"file":"src/main.cpp","line":12,"function":"collect"},)"
        R"("sender":"collector","sender_pid":3},)"
        R"("waits_for":{"waiter":"store","waiter_pid":7,"target":"disk","target_pid":8,)"
        R"("kind":"cast","site":{"file":"src/main.cpp","line":12,"function":"collect"},)"
        R"("age_ns":2},)"
        R"("waiting":{"count":2,"p50_ns":128,"p90_ns":128,"p99_ns":128,"max_ns":128,)"
        R"("buckets":[[128,2]]}}]})");
}
