// SPDX-License-Identifier: BSL-1.0
// What a shared library offers to a program; both hide every other name of theirs.
#pragma once

#include <genserver/genserver.hpp>

#include <cstddef>

using IntServer = genserver::GenServer<int>;

[[gnu::visibility("default")]] std::size_t servers_seen_by_library();
[[gnu::visibility("default")]] genserver::Pid pid_of_next_server();
[[gnu::visibility("default")]] int increment(IntServer& server);

/// Calls a server of the library, whose handler calls `server`.
[[gnu::visibility("default")]] int increment_by_another(IntServer& server);

/// Ends a server of the library by an exception, and tells a monitor on `watcher`.
[[gnu::visibility("default")]] void crash_watched_by(genserver::GenServer<bool>& watcher);
