// SPDX-License-Identifier: BSL-1.0
// The state of all servers, printed when a person asks for it.
#pragma once

#include <genserver/core/snapshot_text.hpp>
#include <genserver/sync/platform/signal_watch.hpp>
#include <genserver/sync/platform/standard_error.hpp>

#include <functional>
#include <utility>

namespace genserver::inline v0 {

/// Takes a snapshot with all stacks whenever the process gets `signal`, and gives it to `sink`; an
/// empty one prints it to stderr. The program goes on. Usual is SIGQUIT, which Ctrl-\ sends.
///
/// It replaces what `signal` did before. The sink runs on a thread of its own.
///
/// Threads: any.
/// Throws:  std::system_error if the signal cannot be caught or the system refuses a thread; always
///          on Windows.
inline void dump_on_signal(int signal, std::function<void(const Snapshot&)> sink = {}) {
  SignalWatch::instance().set(signal, [sink = std::move(sink)] {
    const Snapshot all = snapshot(Stacks::all);
    if (sink) return sink(all);
    write_to_standard_error("genserver: " + to_text(all));
  });
}

}  // namespace genserver::v0
