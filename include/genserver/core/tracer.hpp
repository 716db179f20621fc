// SPDX-License-Identifier: BSL-1.0
// The place from which events of traced servers go to who wants to see them.
#pragma once

#include <genserver/base/message.hpp>
#include <genserver/base/trace_event.hpp>
#include <genserver/core/callee.hpp>
#include <genserver/sync/platform/thread.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Knows the sinks, and calls them.
///
/// Whether a server is traced at all is a flag in its record, so that who is not pays one load.
///
/// Threads: any. Never destroyed.
class Tracer {
 public:
  [[gnu::visibility("default")]] static Tracer& instance() {
    static Tracer& tracer = *new Tracer;
    return tracer;
  }

  /// Sends the events of one server to `sink` from now on; to none, if it is empty.
  void set(const Callee& server, TraceSink sink);
  /// The same for all servers, those that come later included, beside what set() has done.
  void set_all(TraceSink sink);

  /// Tells of a message: the number in id_of(), its site and sender.
  void emit(TraceEvent::Kind kind, const Callee& server, Message& message, std::uint64_t id,
            bool has_failed) noexcept;
  /// Tells of an event, unless its message is 0.
  void emit(TraceEvent event, const Callee& server) noexcept;

  /// Returns a number that no other message has in these days, or 0 for one that a sink has sent.
  /// A timer and a continuation, which nobody sends, may have one again. Only while the message is
  /// there.
  static std::uint64_t id_of(Message& message) noexcept {
    if (message.link().sent_at == sent_by_sink) return 0;
    const auto address = reinterpret_cast<std::uintptr_t>(&message);
    // Mixed, since frames of threads differ by whole pages, and so would times by as many ns.
    return (message.link().sent_at * 0x9E3779B97F4A7C15U) ^
           static_cast<std::uint64_t>(address >> 4);
  }

  /// Returns whether the calling thread is in a sink.
  [[nodiscard]] static bool is_sink_running() noexcept { return is_in_sink(); }
  /// A message that a sink sends is not told of.
  static void hide(Message& message) noexcept { message.link().sent_at = sent_by_sink; }

 private:
  static constexpr std::uint64_t sent_by_sink = 1;  // the nanosecond after the machine's start

  using SharedSink = std::shared_ptr<const TraceSink>;

  static SharedSink shared(TraceSink sink) {
    return sink ? std::make_shared<const TraceSink>(std::move(sink)) : nullptr;
  }
  [[gnu::visibility("default")]] static bool& is_in_sink() noexcept {
    static constinit thread_local bool is_so = false;
    return is_so;
  }
  [[gnu::visibility("default")]] static std::uint64_t thread_number() noexcept;
  static void call(const SharedSink& sink, const TraceEvent& event) noexcept;
  std::vector<SharedSink> forget_the_gone();

  std::mutex mutex_{};
  // guarded by mutex_:
  std::map<Pid, SharedSink> sinks_{};
  std::size_t most_sinks_ = 16;  // before those of servers that are gone are looked for
  SharedSink sink_of_all_{};
};

inline void Tracer::set(const Callee& server, TraceSink sink) {
  SharedSink next = shared(std::move(sink));  // outlives the lock, and takes the old one with it
  std::vector<SharedSink> gone;               // as well
  const std::scoped_lock lock{mutex_};
  if (sinks_.size() >= most_sinks_) gone = forget_the_gone();
  if (next != nullptr) {
    sinks_[server.pid()].swap(next);
  } else if (const auto found = sinks_.find(server.pid()); found != sinks_.end()) {
    next.swap(found->second);
    sinks_.erase(found);
  }
  server.record().set_traced(sink_of_all_ != nullptr || sinks_.count(server.pid()) != 0);
}

inline void Tracer::set_all(TraceSink sink) {
  SharedSink next = shared(std::move(sink));  // as above
  const std::scoped_lock lock{mutex_};
  sink_of_all_.swap(next);
  Directory::instance().set_all_traced(sink_of_all_ != nullptr,
                                       [&](Pid pid) { return sinks_.count(pid) != 0; });
}

/// Returns the sinks of servers that are no more, taken out.
inline std::vector<Tracer::SharedSink> Tracer::forget_the_gone() {
  std::vector<SharedSink> gone;
  gone.reserve(sinks_.size());  // nothing fails later
  std::map<Pid, SharedSink> kept;
  Directory::instance().for_each([&](ServerRecord& record) {
    record.with_identity([&](const ServerIdentity& identity) {
      if (auto node = sinks_.extract(identity.pid)) kept.insert(std::move(node));
    });
  });
  for (auto& [pid, sink] : sinks_) gone.push_back(std::move(sink));
  sinks_.swap(kept);
  most_sinks_ = 2 * sinks_.size() + 16;
  return gone;
}

inline void Tracer::emit(TraceEvent::Kind kind, const Callee& server, Message& message,
                         std::uint64_t id, bool has_failed) noexcept {
  if (kind == TraceEvent::Kind::sent && is_in_sink()) {  // or the sink would see what it does
    message.link().sent_for = 0;
    hide(message);
  }
  TraceEvent event;
  event.kind = kind;
  event.site = message.site();
  event.sender = Pid{message.sender()};
  event.message = id;
  event.has_failed = has_failed;
  emit(event, server);
}

inline void Tracer::emit(TraceEvent event, const Callee& server) noexcept {
  // What a sink does is not traced, and the server it sends to does not tell: it would never end.
  if (event.message == 0 || is_in_sink()) return;
  const CancelGuard guard;
  is_in_sink() = true;
  try {
    event.time = std::chrono::steady_clock::now();
    event.server = server.pid();
    event.name = server.name();
    event.thread = thread_number();
    const auto [sender_name, sender] =
        Directory::instance().find(static_cast<std::uint32_t>(event.sender.value()));
    event.sender = sender;
    event.sender_name = sender_name;
    SharedSink own;
    SharedSink of_all;
    {
      const std::scoped_lock lock{mutex_};
      of_all = sink_of_all_;
      if (const auto found = sinks_.find(server.pid()); found != sinks_.end()) own = found->second;
    }
    call(own, event);
    call(of_all, event);
  } catch (...) {  // out of memory: this event is missing
  }
  is_in_sink() = false;
}

inline std::uint64_t Tracer::thread_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
  // Relaxed: only unique.
  static thread_local const std::uint64_t own = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return own;
}

inline void Tracer::call(const SharedSink& sink, const TraceEvent& event) noexcept {
  if (sink == nullptr) return;
  try {
    (*sink)(event);
  } catch (...) {  // looking at a server must not do it any harm
  }
}

}  // namespace genserver::v0
