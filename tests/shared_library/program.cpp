// SPDX-License-Identifier: BSL-1.0
// A program and a shared library that both use the library have one set of servers.
#include <shared_library/library.hpp>

#include <cstdio>
#include <string>

namespace {

int failures = 0;

void check(bool is_so, const char* what) {
  if (is_so) return;
  std::printf("not so: %s\n", what);
  ++failures;
}

template <class Error, class Function>
bool throws(Function function) {
  try {
    function();
  } catch (const Error&) {
    return true;
  } catch (...) {
  }
  return false;
}

void share_servers(IntServer& server) {
  check(servers_seen_by_library() == 1, "the library sees the server of the program");
  check(pid_of_next_server() != IntServer{}.pid(), "no pid is given twice");
  check(increment(server) == 41, "the library calls the server of the program");
  check(increment_by_another(server) == 42, "so does a server of the library");
}

void share_threads(IntServer& server) {
  const auto call_itself = [&](int&) { return increment(server); };
  check(server.call(call_itself) == 43, "a call to itself runs at once, also by the library");

  const auto close_circle = [&](int&) { return increment_by_another(server); };
  check(throws<genserver::Deadlock>([&] { server.call(close_circle); }),
        "a circle through the library is found");
}

void share_ends() {
  genserver::GenServer<bool> watcher{{.name = "watcher"}, false};
  check(throws<genserver::ServerGone>([&] { crash_watched_by(watcher); }),
        "an error of the library is caught by its type");
  check(watcher.call([](bool& is_down) { return is_down; }), "its servers can be monitored");
}

}  // namespace

int main() {
  std::string reports;  // outlives the servers
  genserver::set_report_sink([&](const genserver::Report& report) { reports += report.text(); });
  {
    IntServer server{{.name = "shared"}, 40};
    share_servers(server);
    share_threads(server);
    share_ends();
  }
  genserver::set_report_sink(nullptr);
  check(reports.find("deadlock of 2 servers") != std::string::npos, "the sink gets the deadlock");
  check(reports.find("crashed") != std::string::npos, "the sink gets the crash");
  return failures;
}
