// SPDX-License-Identifier: BSL-1.0
#include <shared_library/library.hpp>

#include <chrono>
#include <stdexcept>

using namespace std::chrono_literals;

std::size_t servers_seen_by_library() { return genserver::snapshot().servers.size(); }

genserver::Pid pid_of_next_server() { return IntServer{}.pid(); }

int increment(IntServer& server) {
  return server.call_for(20s, [](int& n) { return ++n; });
}

int increment_by_another(IntServer& server) {
  IntServer another{{.name = "another"}, 0};
  return another.call_for(20s, [&server](int&) { return increment(server); });
}

void crash_watched_by(genserver::GenServer<bool>& watcher) {
  IntServer crashing{{.name = "crashing"}, 0};
  watcher.monitor(crashing.ref(), [](bool& is_down, const genserver::Down&) { is_down = true; });
  crashing.cast([] { throw std::runtime_error{"crashed"}; });
  crashing.stop();
  increment(crashing);
}
