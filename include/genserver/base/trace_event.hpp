// SPDX-License-Identifier: BSL-1.0
// One step of a message on its way, as a trace shows it.
#pragma once

#include <genserver/base/call_site.hpp>
#include <genserver/base/pid.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace genserver::inline v0 {

/// What happened to a message of a traced server. The texts live as long as the sink runs.
///
/// Erlang: the system events of sys:trace/2.
struct TraceEvent {
  enum class Kind {
    sent,      ///< It is about to be put into the mailbox, on the sender's thread.
    received,  ///< The server has taken it up.
    handled,   ///< Its handler has returned, or thrown.
    replied    ///< Its caller has got the answer, now or in a later handler.
  };

  Kind kind = Kind::sent;
  std::chrono::steady_clock::time_point time{};
  Pid server{};
  std::string_view name{};  ///< The server's.
  /// The server whose handler has sent it; none for a thread that is no server.
  Pid sender{};
  std::string_view sender_name{};
  CallSite site{};            ///< Where it was sent.
  std::uint64_t message = 0;  ///< The same in all events of one message.
  std::uint64_t thread = 0;   ///< A number for the thread on which this happened.
  bool has_failed = false;  ///< handled: by an exception that ends the server; replied: with one.
};

using TraceSink = std::function<void(const TraceEvent&)>;

/// Returns the kind as a word.
constexpr const char* to_string(TraceEvent::Kind kind) noexcept {
  constexpr const char* words[] = {"sent", "received", "handled", "replied"};
  return words[static_cast<std::size_t>(kind)];
}

}  // namespace genserver::v0
