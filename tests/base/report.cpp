// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/report.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

using Catch::Matchers::ContainsSubstring;
using genserver::CallSite;
using genserver::ExitReason;
using genserver::Frame;
using genserver::Pid;
using genserver::Report;
using genserver::to_string;
using genserver::WaitEdge;
using genserver::WaitKind;
using namespace std::chrono_literals;

namespace {

Report about(Report::Kind kind) {
  Report report;
  report.kind = kind;
  report.server = "Account";
  report.pid = Pid{3};
  return report;
}

const CallSite main_site{"src/main.cpp", "main", 12};

std::exception_ptr nested_error() {
  try {
    try {
      try {
        throw std::runtime_error{"disk full"};
      } catch (...) {
        std::throw_with_nested(std::logic_error{"cannot load"});
      }
    } catch (...) {
      std::throw_with_nested(std::runtime_error{"cannot start"});
    }
  } catch (...) {
    return std::current_exception();
  }
}

// The widest line of a text.
std::size_t width_of(const std::string& text) {
  std::size_t width = 0;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) width = std::max(width, line.size());
  return width;
}

// One with every field set, to names of an ordinary length.
Report full_report(Report::Kind kind) {
  Report report = about(kind);
  report.server = "inventory_service";
  report.site = {"src/shop/checkout_controller.cpp", "reserve_all_items", 1234};
  report.client = "checkout_controller";
  report.client_pid = Pid{123456};
  report.age = 3725s;
  report.mailbox_size = report.mailbox_capacity = 100'000;
  report.count = 1'000'000;
  report.reason = ExitReason::exception(std::make_exception_ptr(std::runtime_error{
      "cannot reserve the items of order 4711: the warehouse has no such shelf"}));
  report.cycle = {{"checkout_controller", Pid{123456}, "inventory_service", Pid{3}, WaitKind::call,
                   report.site, 3725s}};
  report.callers.assign(12, {"a thread of the web server", {}, WaitKind::room, report.site, 90s});
  Frame frame;
  frame.function = "shop::Inventory::reserve(std::vector<shop::Item> const&, shop::Order const&)";
  frame.file = "src/shop/inventory_service.cpp";
  frame.line = 321;
  report.stacks = {{report.server, report.pid, {{frame}, "some frames of a library are missing"}}};
  report.outcome = "the request that closes the circle was not sent, it throws Deadlock there";
  return report;
}

}  // namespace

TEST_CASE("an edge is printed as who waits for whom, where and how long", "[base][report]") {
  WaitEdge edge{"Connection", Pid{1}, "Peer", Pid{2}, WaitKind::call, main_site};
  CHECK(to_string(edge) == "Connection:1 waits for Peer:2 (call at main.cpp:12 in main)");

  edge.age = 3200ms;
  CHECK(to_string(edge) ==
        "Connection:1 waits for Peer:2 (call at main.cpp:12 in main), for 3.2 s");
}

TEST_CASE("who is no server has a name without a pid", "[base][report]") {
  const WaitEdge edge{"main thread", Pid{}, "Peer", Pid{2}, WaitKind::stop, main_site};

  CHECK(to_string(edge) == "main thread waits for Peer:2 (stop at main.cpp:12 in main)");
}

TEST_CASE("times are printed with the unit that fits", "[base][report]") {
  const auto print = [](std::chrono::nanoseconds length) { return to_string(length); };

  CHECK(print(0ns) == "0 ns");
  CHECK(print(85ns) == "85 ns");
  CHECK(print(1us) == "1 us");
  CHECK(print(450us) == "450 us");
  CHECK(print(250ms) == "250 ms");
  CHECK(print(1s) == "1.0 s");
  CHECK(print(1200ms) == "1.2 s");
  CHECK(print(90s) == "90.0 s");
  CHECK(print(125s) == "2 min 5 s");
  CHECK(print(190min) == "3 h 10 min");
  CHECK(print(72h) == "72 h 0 min");
  CHECK_NOTHROW(print(std::chrono::nanoseconds::max()));
}

TEST_CASE("a time that is rounded up changes its unit", "[base][report]") {
  CHECK(to_string(999'600ns) == "1 ms");
  CHECK(to_string(std::chrono::nanoseconds{999'600us}) == "1.0 s");
  CHECK(to_string(std::chrono::nanoseconds{119'600ms}) == "2 min 0 s");
  CHECK(to_string(std::chrono::nanoseconds{3'599'600ms}) == "1 h 0 min");
}

TEST_CASE("the kinds of reports have names", "[base][report]") {
  CHECK(to_string(Report::Kind::deadlock) == std::string_view{"deadlock"});
  CHECK(to_string(Report::Kind::stuck) == std::string_view{"stuck"});
  CHECK(to_string(Report::Kind::crash) == std::string_view{"crash"});
  CHECK(to_string(Report::Kind::abandoned) == std::string_view{"abandoned"});
  CHECK(to_string(Report::Kind::overflow) == std::string_view{"overflow"});
  CHECK(to_string(Report::Kind::supervisor) == std::string_view{"supervisor"});
}

TEST_CASE("a crash is reported with its reason and where the message came from", "[base][report]") {
  Report report = about(Report::Kind::crash);
  report.reason = ExitReason::exception(std::make_exception_ptr(std::runtime_error{"disk full"}));
  report.site = main_site;

  CHECK(report.text() ==
        "genserver: Account:3 ended: exception: disk full\n"
        "  the message was sent at main.cpp:12 in main\n");
}

TEST_CASE("the exceptions nested in the one that ended a server follow", "[base][report]") {
  Report report = about(Report::Kind::crash);
  report.reason = ExitReason::exception(nested_error());

  CHECK(report.text() ==
        "genserver: Account:3 ended: exception: cannot start\n"
        "  caused by: cannot load\n"
        "  caused by: disk full\n");
}

TEST_CASE("a message is reported with who sent it, as far as that is known", "[base][report]") {
  Report report = about(Report::Kind::crash);
  report.client = "collector";
  report.client_pid = Pid{7};
  CHECK_THAT(report.text(), ContainsSubstring("\n  the message was sent by collector:7\n"));

  report.site = main_site;
  CHECK_THAT(report.text(), ContainsSubstring("sent by collector:7 at main.cpp:12 in main\n"));

  report.client_pid = Pid{};
  CHECK_THAT(report.text(), ContainsSubstring("sent by collector at main.cpp:12 in main\n"));
}

TEST_CASE("a text of several lines keeps them in a report", "[base][report]") {
  Report report = about(Report::Kind::crash);
  report.reason = ExitReason::shutdown("one\ntwo\n");

  CHECK(report.text() == "genserver: Account:3 ended: shutdown: one\n    two\n");
}

TEST_CASE("a deadlock is reported with every edge and what was done", "[base][report]") {
  Report report = about(Report::Kind::deadlock);
  report.cycle = {{"Connection", Pid{1}, "Peer", Pid{2}, WaitKind::call, main_site},
                  {"Peer", Pid{2}, "Connection", Pid{1}, WaitKind::room, main_site, 85us}};
  report.outcome = "The call was refused.";

  CHECK(report.text() ==
        "genserver: deadlock of 2 servers\n"
        "  Connection:1 waits for Peer:2 (call at main.cpp:12 in main)\n"
        "  Peer:2 waits for Connection:1 (cast at main.cpp:12 in main), for 85 us\n"
        "  The call was refused.\n");
}

TEST_CASE("a long edge goes on below from where it waits", "[base][report]") {
  Report report = about(Report::Kind::deadlock);
  const CallSite site{"src/connection.cpp", "handle_add_connection", 33};
  report.cycle = {{"connection", Pid{10}, "peer", Pid{11}, WaitKind::call, site, 3200ms}};

  CHECK_THAT(report.text(),
             ContainsSubstring("\n  connection:10 waits for peer:11\n"
                               "      (call at connection.cpp:33 in handle_add_connection), for "
                               "3.2 s\n"));
}

TEST_CASE("a stuck handler is reported with its age and for whom it waits", "[base][report]") {
  Report report = about(Report::Kind::stuck);
  report.age = 30s;
  report.site = main_site;
  report.cycle = {{"Account", Pid{3}, "Bank", Pid{4}, WaitKind::call, main_site, 29s}};
  report.mailbox_size = 2;
  report.mailbox_capacity = 16;

  CHECK(report.text() ==
        "genserver: Account:3 is stuck: one handler has been running for 30.0 s\n"
        "  the message was sent at main.cpp:12 in main\n"
        "  Account:3 waits for Bank:4 (call at main.cpp:12 in main), for 29.0 s\n"
        "  mailbox: 2 of 16 places taken\n");
}

TEST_CASE("callers that wait for long are reported with name and place", "[base][report]") {
  Report report = about(Report::Kind::stuck);
  report.callers = {{"Connection", Pid{1}, WaitKind::call, main_site, 1500ms},
                    {"worker", Pid{}, WaitKind::room, main_site, 250ms}};

  CHECK(report.text() ==
        "genserver: callers of Account:3 have been waiting long\n"
        "  Connection:1 waits for Account:3 (call at main.cpp:12 in main), for 1.5 s\n"
        "  worker waits for Account:3 (cast at main.cpp:12 in main), for 250 ms\n");
}

TEST_CASE("of many callers a person sees ten, and how many more there are", "[base][report]") {
  Report report = about(Report::Kind::stuck);
  report.callers.resize(10, {"Connection", Pid{1}, WaitKind::call, main_site, 1s});
  CHECK_THAT(report.text(), !ContainsSubstring("more callers"));

  report.callers.resize(32, {"unseen", Pid{2}, WaitKind::call, main_site, 1s});
  CHECK_THAT(report.text(), ContainsSubstring("\n  and 22 more callers\n"));
  CHECK_THAT(report.text(), !ContainsSubstring("unseen"));
  CHECK_THAT(report.json(), ContainsSubstring("unseen"));
}

TEST_CASE("an abandoned server is named", "[base][report]") {
  CHECK_THAT(about(Report::Kind::abandoned).text(), ContainsSubstring("Account:3 was abandoned"));
}

TEST_CASE("an overflow is reported with the number of lost requests", "[base][report]") {
  Report report = about(Report::Kind::overflow);
  report.server = "log";
  report.count = 1200;
  report.mailbox_size = report.mailbox_capacity = 16;
  report.site = main_site;

  CHECK(report.text() ==
        "genserver: mailbox of log:3 is full:\n"
        "    1200 requests refused or dropped since the last report\n"
        "  the last one was sent at main.cpp:12 in main\n"
        "  mailbox: 16 of 16 places taken\n");
  report.count = 1;
  CHECK_THAT(report.text(), ContainsSubstring(" 1 request refused or dropped since"));
}

TEST_CASE("a supervisor's child is reported with its id and where it was specified",
          "[base][report]") {
  Report report = about(Report::Kind::supervisor);
  report.child = "cache";
  report.site = main_site;
  report.reason = ExitReason::shutdown("upgrade");
  report.outcome = "it did not end in time, and was killed";

  CHECK(report.text() ==
        "genserver: child \"cache\" of Account:3: shutdown: upgrade\n"
        "  its specification was made at main.cpp:12 in main\n"
        "  it did not end in time, and was killed\n");
  CHECK(report.json().starts_with(
      R"({"kind":"supervisor","server":"Account","pid":3,"child":"cache",)"));
}

TEST_CASE("stacks are printed below the name of their server", "[base][report]") {
  Report report = about(Report::Kind::stuck);
  Frame frame;
  frame.function = "app::run(int)";
  frame.file = "app.cpp";
  frame.line = 7;
  report.stacks = {{"Account", Pid{3}, {{frame}, ""}}};

  CHECK_THAT(report.text(), ContainsSubstring("  stack of Account:3\n"
                                              "    #0  app::run(int)  at app.cpp:7\n"));
}

TEST_CASE("a stack that is missing is reported with the reason", "[base][report]") {
  Report report = about(Report::Kind::abandoned);
  report.stacks = {{"Account", Pid{3}, {{}, "the thread has ended"}}};

  CHECK_THAT(report.text(), ContainsSubstring("stack of Account:3"));
  CHECK_THAT(report.text(), ContainsSubstring("the thread has ended"));
}

TEST_CASE("a report does not print what is not set", "[base][report]") {
  CHECK(about(Report::Kind::crash).text() == "genserver: Account:3 ended: normal\n");
}

TEST_CASE("no line of a report is wider than 80 columns", "[base][report]") {
  const auto kind = GENERATE(Report::Kind::deadlock, Report::Kind::stuck, Report::Kind::crash,
                             Report::Kind::abandoned, Report::Kind::overflow,
                             Report::Kind::supervisor);

  const std::string text = full_report(kind).text();

  CAPTURE(text);
  CHECK(width_of(text) <= 80);
}

TEST_CASE("a report as JSON leaves out what is not set", "[base][report]") {
  CHECK(about(Report::Kind::stuck).json() == R"({"kind":"stuck","server":"Account","pid":3})");
  CHECK(
      about(Report::Kind::crash).json() ==
      R"({"kind":"crash","server":"Account","pid":3,"reason":{"kind":"normal","what":"normal"}})");
}

TEST_CASE("a crash as JSON has the reason and the message", "[base][report]") {
  Report report = about(Report::Kind::crash);
  report.reason = ExitReason::exception(nested_error());
  report.site = main_site;
  report.client = "collector";
  report.client_pid = Pid{7};

  CHECK(report.json() ==
        R"({"kind":"crash","server":"Account","pid":3,"client":"collector","client_pid":7,)"
        R"("site":{"file":"src/main.cpp","line":12,"function":"main"},)"
        R"("reason":{"kind":"exception","what":"exception: cannot start",)"
        R"("caused_by":["cannot load","disk full"]}})");
}

TEST_CASE("a deadlock as JSON has edges, stacks and the outcome", "[base][report]") {
  Report report = about(Report::Kind::deadlock);
  report.cycle = {{"a", Pid{1}, "b", Pid{2}, WaitKind::call, main_site, 5ns},
                  {"b", Pid{2}, "a", Pid{1}, WaitKind::room, {}}};
  report.stacks = {{"a", Pid{1}, {{Frame{}}, ""}}, {"b", Pid{2}, {{}, "gone"}}};
  report.outcome = "refused";

  CHECK(report.json() ==
        R"({"kind":"deadlock","server":"Account","pid":3,"cycle":[)"
        R"({"waiter":"a","waiter_pid":1,"target":"b","target_pid":2,"kind":"call",)"
        R"("site":{"file":"src/main.cpp","line":12,"function":"main"},"age_ns":5},)"
        R"({"waiter":"b","waiter_pid":2,"target":"a","target_pid":1,"kind":"cast"}],)"
        R"("stacks":[{"server":"a","pid":1,"frames":[{}]},)"
        R"({"server":"b","pid":2,"note":"gone"}],"outcome":"refused"})");
}

TEST_CASE("callers and the mailbox are in the JSON too", "[base][report]") {
  Report report = about(Report::Kind::overflow);
  report.age = 2us;
  report.count = 12;
  report.mailbox_capacity = 16;
  report.callers = {{"main", Pid{}, WaitKind::future, main_site, 1us},
                    {"b", Pid{2}, WaitKind::stop, {}, 0ns}};

  CHECK(report.json() ==
        R"({"kind":"overflow","server":"Account","pid":3,"age_ns":2000,)"
        R"("mailbox":{"size":0,"capacity":16},"count":12,"callers":[)"
        R"({"name":"main","kind":"future",)"
        R"("site":{"file":"src/main.cpp","line":12,"function":"main"},"age_ns":1000},)"
        R"({"name":"b","pid":2,"kind":"stop"}]})");
}
