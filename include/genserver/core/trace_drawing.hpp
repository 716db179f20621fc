// SPDX-License-Identifier: BSL-1.0
// The drawing of a recorded trace: servers as tracks, handlers as slices, messages as arrows.
// A little longer than other headers: what an event means and how it looks are read together.
#pragma once

#include <genserver/base/json.hpp>
#include <genserver/base/trace_event.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// What is kept of a TraceEvent: 72 bytes on common machines.
struct TraceEntry {
  std::chrono::nanoseconds time{};  // since the recorder was made
  Pid server{};
  Pid sender{};
  CallSite site{};
  std::uint64_t message = 0;
  std::uint32_t thread = 0;
  TraceEvent::Kind kind = TraceEvent::Kind::sent;
  bool has_failed = false;
};

/// Draws recorded events in the format of
/// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
///
/// Slices of one track must lie beside or within each other. They do, because who runs a server is
/// one thread at a time: all that begins or ends on a track does so by an event of that thread, and
/// a slice within another ends before the next such event.
class TraceDrawing {
 public:
  using Names = std::unordered_map<Pid, std::string>;
  using Put = std::function<void(std::string_view)>;

  TraceDrawing(std::vector<TraceEntry> entries, Names names)
      : entries_{std::move(entries)}, names_{std::move(names)} {
    sort();
    steps_.resize(entries_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) connect(i);
  }

  /// Calls `put` with one piece of the file after the other. Throws: what `put` throws.
  void draw(const Put& put, std::size_t dropped);

 private:
  using Kind = TraceEvent::Kind;
  using Time = std::chrono::nanoseconds;
  using Index = std::size_t;
  static constexpr Index none = std::numeric_limits<Index>::max();
  // Threads that run no server have tracks of their own, behind those of the servers.
  static constexpr std::uint64_t thread_tracks = 1'000'000'000;

  /// What an event means among the others.
  struct Step {
    std::uint64_t track = 0;
    Index next = none;     // the next event of the same thread
    Index partner = none;      // received: when it was handled, and the other way round
    Time bound = Time::max();  // received: its end; handled without that: its begin
  };
  /// The events of one message. One that waits for its guard is received again and again.
  struct Way {
    Index sent = none;
    Index first_received = none;
    Index last_received = none;
    Index replied = none;
  };

  struct ThreadSoFar {
    Index last = none;           // its last event
    std::vector<Pid> running{};  // innermost server last
  };
  struct ServerSoFar {
    Index open = none;            // received, not yet handled
    Time last_end = Time::max();  // of a handler; max: none has ended
  };

  void sort();
  void connect(Index i);
  void connect_received(Index i);
  void connect_handled(Index i);
  void close(Index received, Time end);

  [[nodiscard]] const Way& way(Index i) const { return ways_.at(entries_[i].message); }
  [[nodiscard]] Time end_of_handler(Index received) const;
  [[nodiscard]] Time soon(Index i, Index next) const;
  [[nodiscard]] Time end_of_call(Index sent) const;
  [[nodiscard]] bool is_late(Index replied) const;
  [[nodiscard]] bool has_failed(Index received) const;
  [[nodiscard]] std::string label(Pid server) const;
  [[nodiscard]] std::string label(std::uint64_t track) const;
  static std::string place(const CallSite& site);

  void draw_event(const Put& put, Index i);
  void draw_sent(const Put& put, Index i);
  void draw_handler(const Put& put, Index i, Time begin, Time end, bool has_failed);
  void draw_replied(const Put& put, Index i);
  void draw_names(const Put& put);
  void begin_slice(std::string_view category, Index i, Time begin, Time end,
                   std::string_view name);
  void draw_arrow(const Put& put, const char* phase, std::string_view category, Index i,
                  std::uint64_t track);
  void begin_object(const char* phase, std::string_view name, std::uint64_t track);
  void put_object(const Put& put);

  std::vector<TraceEntry> entries_;
  Names names_;
  std::vector<Step> steps_{};
  std::unordered_map<std::uint64_t, Way> ways_{};
  JsonWriter json_{};

  // While connecting:
  std::unordered_map<std::uint32_t, ThreadSoFar> threads_{};
  std::unordered_map<Pid, ServerSoFar> servers_{};
};

/// Puts the events in the order of time. Those of one thread came in that order; an event that came
/// twice, because two sinks of this recorder were set, is kept once.
inline void TraceDrawing::sort() {
  const auto key = [](const TraceEntry& e) { return std::tuple{e.time, e.thread}; };
  const auto comes_before = [&](Index a, Index b) {
    return std::tuple{key(entries_[a]), a} < std::tuple{key(entries_[b]), b};
  };
  std::vector<Index> order(entries_.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::sort(order.begin(), order.end(), comes_before);
  std::vector<TraceEntry> sorted;
  sorted.reserve(order.size());
  for (const Index i : order) sorted.push_back(std::move(entries_[i]));
  entries_ = std::move(sorted);

  const auto is_same = [&](const TraceEntry& a, const TraceEntry& b) {
    return key(a) == key(b) && a.kind == b.kind && a.message == b.message;
  };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), is_same), entries_.end());
}

inline void TraceDrawing::connect(Index i) {
  const TraceEntry& entry = entries_[i];
  ThreadSoFar& thread = threads_[entry.thread];
  const Index last = std::exchange(thread.last, i);
  if (last != none) steps_[last].next = i;

  const std::uint64_t thread_track = thread_tracks + entry.thread;
  Step& step = steps_[i];
  step.track = entry.server.value();
  Way& way = ways_[entry.message];
  switch (entry.kind) {
    case Kind::sent:
      way.sent = i;
      step.track = entry.sender == Pid{} ? thread_track : entry.sender.value();
      break;
    case Kind::received:
      if (way.first_received == none) way.first_received = i;
      way.last_received = i;
      connect_received(i);
      break;
    case Kind::handled: connect_handled(i); break;
    case Kind::replied:
      way.replied = i;
      step.track = thread.running.empty() ? thread_track : thread.running.back().value();
      break;
  }
}

inline void TraceDrawing::connect_received(Index i) {
  const TraceEntry& entry = entries_[i];
  const Index last = std::exchange(servers_[entry.server].open, i);
  // Nothing was heard of the end of the last one, but it has ended.
  if (last != none) close(last, entry.time);
  threads_[entry.thread].running.push_back(entry.server);
}

inline void TraceDrawing::connect_handled(Index i) {
  const TraceEntry& entry = entries_[i];
  ServerSoFar& server = servers_[entry.server];
  const Index received = std::exchange(server.open, none);
  const Time last_end = std::exchange(server.last_end, entry.time);
  if (received == none) {  // it was running when the recording began
    steps_[i].bound = last_end != Time::max() ? last_end : entries_.front().time;
  } else {
    close(received, entry.time);
    if (entries_[received].message == entry.message) {
      steps_[i].partner = received;
      steps_[received].partner = i;
    } else {  // two halves, with a pause of the recording in between
      steps_[i].bound = entry.time;
    }
  }
}

inline void TraceDrawing::close(Index received, Time end) {
  steps_[received].bound = end;
  std::erase(threads_[entries_[received].thread].running, entries_[received].server);
}

inline TraceDrawing::Time TraceDrawing::end_of_handler(Index received) const {
  return std::min(steps_[received].bound, entries_.back().time);  // when the recording ends
}

/// Returns a time shortly after an event, and before the one that comes next on its thread.
inline TraceDrawing::Time TraceDrawing::soon(Index i, Index next) const {
  const Time time = entries_[i].time;
  constexpr Time short_time = std::chrono::microseconds{1};
  if (next == none) return time + short_time;
  return time + std::min(short_time, (entries_[next].time - time) / 2);
}

/// Returns when who sent a message had the answer, if it did nothing else until then, else 0.
inline TraceDrawing::Time TraceDrawing::end_of_call(Index sent) const {
  const Way& its = way(sent);
  const Index next = steps_[sent].next;
  if (its.replied == none) return Time{0};
  if (next != none && next == its.first_received) return end_of_handler(next);  // itself ran it
  if (next != none && entries_[next].time < entries_[its.replied].time) return Time{0};
  return soon(its.replied, next);
}

/// Returns whether an answer was not given by the handler of its own message.
inline bool TraceDrawing::is_late(Index replied) const {
  const Index received = way(replied).last_received;
  if (received == none || received > replied) return true;
  return entries_[received].thread != entries_[replied].thread ||
         end_of_handler(received) < entries_[replied].time;
}

/// Returns whether a handler threw, be it for its caller or for nobody.
inline bool TraceDrawing::has_failed(Index received) const {
  const Index handled = steps_[received].partner;
  if (handled != none && entries_[handled].has_failed) return true;
  const Index replied = way(received).replied;
  return replied != none && entries_[replied].has_failed && !is_late(replied);
}

inline std::string TraceDrawing::label(Pid server) const {
  const auto found = names_.find(server);
  return fmt::format("{}:{}", found != names_.end() ? found->second : "server", server.value());
}

inline std::string TraceDrawing::label(std::uint64_t track) const {
  if (track < thread_tracks) return label(Pid{track});
  return fmt::format("thread {}", track - thread_tracks);
}

inline std::string TraceDrawing::place(const CallSite& site) {
  if (site.line == 0) return "the library";
  return fmt::format("{} ({}:{})", site.function, site.file_name(), site.line);
}

inline void TraceDrawing::draw(const Put& put, std::size_t dropped) {
  put(fmt::format("{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"dropped\":{}}},"
                  "\"traceEvents\":[\n",
                  dropped));
  for (Index i = 0; i < entries_.size(); ++i) draw_event(put, i);
  draw_names(put);
  put("]}\n");
}

inline void TraceDrawing::draw_event(const Put& put, Index i) {
  const TraceEntry& entry = entries_[i];
  const Step& step = steps_[i];
  switch (entry.kind) {
    case Kind::sent: return draw_sent(put, i);
    case Kind::received: return draw_handler(put, i, entry.time, end_of_handler(i), has_failed(i));
    case Kind::handled:
      if (step.partner == none) draw_handler(put, i, step.bound, entry.time, entry.has_failed);
      return;
    case Kind::replied:
      if (is_late(i)) draw_replied(put, i);
      return;
  }
}

inline void TraceDrawing::draw_sent(const Put& put, Index i) {
  const TraceEntry& entry = entries_[i];
  const Time answered = end_of_call(i);
  const bool is_call = answered != Time{0};
  const Time end = is_call ? answered : soon(i, steps_[i].next);
  begin_slice(is_call ? "call" : "send", i, entry.time, end,
              (is_call ? "call " : "send to ") + label(entry.server));
  json_.member("at", place(entry.site));
  put_object(put);
  // Of what was refused nobody has heard any more: no arrow.
  if (way(i).last_received != none) draw_arrow(put, "s", "message", i, steps_[i].track);
}

inline void TraceDrawing::draw_handler(const Put& put, Index i, Time begin, Time end,
                                       bool has_failed) {
  const TraceEntry& entry = entries_[i];
  const Way& its = way(i);
  begin_slice("handler", i, begin, end, place(entry.site));
  if (its.sent != none) {
    const Time waited = entry.time - entries_[its.sent].time;
    json_.member("sender", label(steps_[its.sent].track));
    if (entry.kind == Kind::received) {
      json_.member("waited_us", std::chrono::duration<double, std::micro>{waited}.count());
    }
  } else if (entry.sender != Pid{}) {
    json_.member("sender", label(entry.sender));
  }
  json_.member("failed", has_failed);
  put_object(put);
  if (its.sent == none || entry.kind != Kind::received) return;
  draw_arrow(put, i == its.last_received ? "f" : "t", "message", i, steps_[i].track);
}

inline void TraceDrawing::draw_replied(const Put& put, Index i) {
  const TraceEntry& entry = entries_[i];
  const Index sent = way(i).sent;
  begin_slice("reply", i, entry.time, soon(i, steps_[i].next),
              sent != none ? "reply to " + label(steps_[sent].track) : "reply");
  json_.member("failed", entry.has_failed);
  put_object(put);
  if (sent == none || end_of_call(sent) == Time{0}) return;
  draw_arrow(put, "s", "reply", i, steps_[i].track);
  draw_arrow(put, "f", "reply", i, steps_[sent].track);  // where the call's slice is about to end
}

/// Names the program and the tracks.
inline void TraceDrawing::draw_names(const Put& put) {
  std::map<std::uint64_t, std::string> tracks;
  for (const Step& step : steps_) tracks.try_emplace(step.track);
  for (auto& [track, name] : tracks) {
    begin_object("M", "thread_name", track);
    json_.key("args").begin_object().member("name", label(track)).end_object().end_object();
    put(json_.take() + ",\n");
  }
  begin_object("M", "process_name", 0);
  json_.key("args").begin_object().member("name", "genserver").end_object().end_object();
  put(json_.take() + "\n");
}

/// Begins an object; put_object() ends it, and its arguments.
inline void TraceDrawing::begin_slice(std::string_view category, Index i, Time begin, Time end,
                                      std::string_view name) {
  begin_object("X", name, steps_[i].track);
  json_.member("cat", category);
  json_.member("ts", std::chrono::duration<double, std::micro>{begin}.count());
  json_.member("dur", std::chrono::duration<double, std::micro>{end - begin}.count());
  json_.key("args").begin_object();
  json_.member("message", fmt::format("{:#x}", entries_[i].message));
}

/// Begins ("s"), continues ("t") or ends ("f") an arrow in the slice that is there at this time.
inline void TraceDrawing::draw_arrow(const Put& put, const char* phase, std::string_view category,
                                     Index i, std::uint64_t track) {
  begin_object(phase, category, track);
  json_.member("cat", category);
  json_.member("ts", std::chrono::duration<double, std::micro>{entries_[i].time}.count());
  json_.member("id", fmt::format("{:#x}", entries_[i].message));
  json_.member("bp", "e").end_object();
  put(json_.take() + ",\n");
}

inline void TraceDrawing::begin_object(const char* phase, std::string_view name,
                                       std::uint64_t track) {
  json_.begin_object().member("ph", phase).member("name", name);
  json_.member("pid", 1).member("tid", track);
}

inline void TraceDrawing::put_object(const Put& put) {
  json_.end_object().end_object();
  put(json_.take() + ",\n");
}

}  // namespace genserver::v0
