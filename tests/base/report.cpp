// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/report.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

using Catch::Matchers::ContainsSubstring;
using genserver::CallSite;
using genserver::ExitReason;
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

}  // namespace

TEST_CASE("an edge is printed as who waits for whom and where", "[base][report]") {
  const WaitEdge edge{"Connection", Pid{1}, "Peer", Pid{2}, WaitKind::call, main_site};

  CHECK(to_string(edge) == "Connection:1 waits for Peer:2 (call at main.cpp:12 in main)");
}

TEST_CASE("times are printed with the unit that fits", "[base][report]") {
  CHECK(to_string(std::chrono::nanoseconds{1200ms}) == "1.2 s");
  CHECK(to_string(std::chrono::nanoseconds{250ms}) == "250 ms");
  CHECK(to_string(std::chrono::nanoseconds{1s}) == "1.0 s");
  CHECK(to_string(std::chrono::nanoseconds{90s}) == "90.0 s");
}

TEST_CASE("the kinds of reports have names", "[base][report]") {
  CHECK(to_string(Report::Kind::deadlock) == std::string_view{"deadlock"});
  CHECK(to_string(Report::Kind::stuck) == std::string_view{"stuck"});
  CHECK(to_string(Report::Kind::crash) == std::string_view{"crash"});
  CHECK(to_string(Report::Kind::abandoned) == std::string_view{"abandoned"});
  CHECK(to_string(Report::Kind::overflow) == std::string_view{"overflow"});
}

TEST_CASE("a crash is reported with its reason and where the message came from", "[base][report]") {
  Report report = about(Report::Kind::crash);
  report.reason = ExitReason::exception(std::make_exception_ptr(std::runtime_error{"disk full"}));
  report.site = main_site;

  CHECK(report.text() ==
        "genserver: Account:3 ended: exception: disk full\n"
        "  the message was sent at main.cpp:12 in main\n");
}

TEST_CASE("a deadlock is reported with every edge and what was done", "[base][report]") {
  Report report = about(Report::Kind::deadlock);
  report.cycle = {{"Connection", Pid{1}, "Peer", Pid{2}, WaitKind::call, main_site},
                  {"Peer", Pid{2}, "Connection", Pid{1}, WaitKind::room, main_site}};
  report.outcome = "The call was refused.";

  CHECK(report.text() ==
        "genserver: deadlock of 2 servers\n"
        "  Connection:1 waits for Peer:2 (call at main.cpp:12 in main)\n"
        "  Peer:2 waits for Connection:1 (cast at main.cpp:12 in main)\n"
        "  The call was refused.\n");
}

TEST_CASE("a stuck handler is reported with its age", "[base][report]") {
  Report report = about(Report::Kind::stuck);
  report.age = 30s;

  CHECK_THAT(report.text(), ContainsSubstring("Account:3"));
  CHECK_THAT(report.text(), ContainsSubstring("30.0 s"));
}

TEST_CASE("callers that wait for long are reported with name and place", "[base][report]") {
  Report report = about(Report::Kind::stuck);
  report.callers = {{"Connection", Pid{1}, WaitKind::call, main_site, 1500ms},
                    {"worker thread", Pid{}, WaitKind::room, main_site, 250ms}};

  const std::string text = report.text();

  CHECK_THAT(text, ContainsSubstring("callers of Account:3"));
  CHECK_THAT(text,
             ContainsSubstring("  Connection:1 has waited 1.5 s (call at main.cpp:12 in main)\n"));
  CHECK_THAT(text,
             ContainsSubstring("  worker thread has waited 250 ms (cast at main.cpp:12 in "));
}

TEST_CASE("an abandoned server is named", "[base][report]") {
  CHECK_THAT(about(Report::Kind::abandoned).text(), ContainsSubstring("Account:3 was abandoned"));
}

TEST_CASE("an overflow is reported with the number of lost requests", "[base][report]") {
  Report report = about(Report::Kind::overflow);
  report.count = 12345;
  report.mailbox_size = 16;
  report.mailbox_capacity = 16;

  CHECK_THAT(report.text(), ContainsSubstring("mailbox of Account:3"));
  CHECK_THAT(report.text(), ContainsSubstring("12345"));
  CHECK_THAT(report.text(), ContainsSubstring("16 of 16"));
}

TEST_CASE("stacks are printed below the name of their server", "[base][report]") {
  Report report = about(Report::Kind::stuck);
  genserver::Frame frame;
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
