// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/report_sink.hpp>

#include <support/catch.hpp>
#include <support/gate.hpp>

#include <unistd.h>
#include <atomic>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using genserver::deliver;
using genserver::Report;
using genserver::ReportSink;
using genserver::set_report_sink;

namespace {

// A sink for the length of a test.
class SinkScope {
 public:
  explicit SinkScope(ReportSink sink) { set_report_sink(std::move(sink)); }
  SinkScope(const SinkScope&) = delete;
  SinkScope& operator=(const SinkScope&) = delete;
  ~SinkScope() { set_report_sink({}); }
};

Report about(std::string server) {
  Report report;
  report.server = std::move(server);
  return report;
}

/// Returns what `function` writes to stderr.
template <class Function>
std::string stderr_of(Function&& function) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  std::fflush(stderr);
  const int original = ::dup(STDERR_FILENO);
  ::dup2(::fileno(file), STDERR_FILENO);
  function();
  std::fflush(stderr);
  ::dup2(original, STDERR_FILENO);
  ::close(original);

  std::string text;
  std::rewind(file);
  for (int sign = std::fgetc(file); sign != EOF; sign = std::fgetc(file)) {
    text += static_cast<char>(sign);
  }
  std::fclose(file);
  return text;
}

}  // namespace

TEST_CASE("a report goes to the sink that was set", "[sync][report_sink]") {
  std::vector<std::string> servers;
  const SinkScope scope{[&](const Report& report) { servers.push_back(report.server); }};

  deliver(about("first"));
  deliver(about("second"));

  CHECK(servers == std::vector<std::string>{"first", "second"});
}

TEST_CASE("the last sink that was set counts", "[sync][report_sink]") {
  int first = 0, second = 0;
  const SinkScope scope{[&](const Report&) { ++first; }};

  set_report_sink([&](const Report&) { ++second; });
  deliver(about("log"));

  CHECK(first == 0);
  CHECK(second == 1);
}

TEST_CASE("without a sink a report is written to stderr", "[sync][report_sink]") {
  const Report report = about("log");

  const std::string text = stderr_of([&] { deliver(report); });

  CHECK(text == report.text());
}

TEST_CASE("an empty sink restores the default", "[sync][report_sink]") {
  int calls = 0;
  const SinkScope scope{[&](const Report&) { ++calls; }};
  const Report report = about("log");

  const std::string text = stderr_of([&] {
    set_report_sink({});
    deliver(report);
  });

  CHECK(calls == 0);
  CHECK(text == report.text());
}

TEST_CASE("what a sink throws is dropped", "[sync][report_sink]") {
  int calls = 0;
  const SinkScope scope{[&](const Report&) {
    ++calls;
    throw std::runtime_error{"no space for reports"};
  }};

  deliver(about("log"));
  deliver(about("log"));

  CHECK(calls == 2);
}

TEST_CASE("a sink may deliver another report", "[sync][report_sink]") {
  std::vector<std::string> servers;
  const SinkScope scope{[&](const Report& report) {
    servers.push_back(report.server);
    if (report.server == "inner") return;
    deliver(about("inner"));
  }};

  deliver(about("outer"));

  CHECK(servers == std::vector<std::string>{"outer", "inner"});
}

TEST_CASE("a sink may replace itself and lives until it has returned", "[sync][report_sink]") {
  auto held = std::make_shared<int>(7);
  const std::weak_ptr<int> alive = held;
  bool lived = false;
  const SinkScope scope{[&lived, alive, held = std::exchange(held, nullptr)](const Report&) {
    set_report_sink([](const Report&) {});
    lived = !alive.expired() && *held == 7;
  }};

  deliver(about("log"));

  CHECK(lived);
  CHECK(alive.expired());
}

TEST_CASE("a sink that is replaced may set another when it goes", "[sync][report_sink]") {
  struct Last {
    Last() = default;
    Last(const Last&) = delete;
    Last& operator=(const Last&) = delete;
    ~Last() { set_report_sink({}); }
  };
  int calls = 0;
  const SinkScope scope{[&, last = std::make_shared<Last>()](const Report&) { ++calls; }};

  set_report_sink([&](const Report&) { ++calls; });  // would hang if a lock were held
  const std::string text = stderr_of([] { deliver(about("log")); });

  CHECK(calls == 0);
  CHECK(text == about("log").text());
}

TEST_CASE("the sink runs on several threads at once", "[sync][report_sink]") {
  Gate gates[2];
  const SinkScope scope{[&](const Report& report) {  // each waits until the other is inside too
    const std::size_t own = report.count;
    gates[own].open();
    gates[1 - own].wait();
  }};

  std::thread other{[] {
    Report report;
    report.count = 1;
    deliver(report);
  }};
  deliver(Report{});
  other.join();

  CHECK((gates[0].is_open() && gates[1].is_open()));
}

TEST_CASE("sinks are replaced while reports come", "[.stress][sync][report_sink]") {
  constexpr int count = 20'000;
  std::atomic<int> calls{0};
  const SinkScope scope{[&](const Report&) { ++calls; }};

  const auto send = [] {
    for (int i = 0; i < count; ++i) deliver(about("log"));
  };
  std::thread first{send}, second{send};
  for (int i = 0; i < 2'000; ++i) {
    set_report_sink([&, text = std::make_shared<std::string>(64, 'x')](const Report&) {
      calls += text->size() == 64 ? 1 : 0;
    });
  }
  first.join();
  second.join();

  CHECK(calls == 2 * count);
}
