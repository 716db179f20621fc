// SPDX-License-Identifier: BSL-1.0
// A look at every message of a server.
#pragma once

#include <genserver/base/trace_event.hpp>
#include <genserver/core/any_ref.hpp>
#include <genserver/core/tracer.hpp>

#include <utility>

namespace genserver::inline v0 {

/// Calls `sink` with what happens to each message of `server` from now on: sent, received, handled,
/// replied. An empty sink ends that. One server has one sink, the last one set.
///
/// The sink runs where it happens, on the sender's thread or that which handles, on several at a
/// time, and under no lock of the library. It may send to servers, but not wait for one. Of what it
/// sends no events come; of what that leads to they do, so that a sink of all servers may not send
/// to one that sends on. What it throws is dropped. An event that is on its way may still reach a
/// sink that was replaced.
///
/// A sink is dropped when its server ends.
///
/// Threads: any.
/// Throws:  InvalidArgument for an empty reference; Forked.
/// Cost:    a traced message: a microsecond or two, and if a server sent it, a look at every
///          server's record, each under its lock; one that is not traced: one relaxed load on each
///          side.
/// Erlang:  sys:trace/2.
inline void trace(const AnyRef& server, TraceSink sink, CallSite site = CallSite::here()) {
  server.callee().check_not_forked(site);
  Tracer::instance().set(server.callee(), std::move(sink));
}

/// As trace(), for all servers, those that are started later included; beside the sinks of single
/// ones.
inline void trace_all(TraceSink sink) {
  if (is_forked_child()) throw Forked{"trace_all() was called in a child made by fork()"};
  Tracer::instance().set_all(std::move(sink));
}

}  // namespace genserver::v0
