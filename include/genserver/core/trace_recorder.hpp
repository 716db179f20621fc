// SPDX-License-Identifier: BSL-1.0
// A recorder of traces, for the viewers that draw them.
#pragma once

#include <genserver/base/error.hpp>
#include <genserver/base/trace_event.hpp>
#include <genserver/core/trace_drawing.hpp>

#include <fmt/core.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Keeps the events of traced servers, and writes them as a Chrome trace, which ui.perfetto.dev and
/// chrome://tracing show.
///
///   TraceRecorder recorder;
///   trace_all(recorder.sink());
///   ...
///   recorder.write("trace.json");
///
/// Each server is a track, and each other thread that sends. A handler is a slice, named by the
/// place where its message was sent. So is a call on its caller's track, as long as it waits.
/// Arrows lead from where a message is sent to where it is handled, and from a late answer back.
///
/// Threads: any.
class TraceRecorder {
 public:
  /// Keeps the first `most` events, of which a call has four; a million take 72 MB.
  explicit TraceRecorder(std::size_t most = 1'000'000) : log_{std::make_shared<Log>(most)} {}
  TraceRecorder(const TraceRecorder&) = delete;
  TraceRecorder& operator=(const TraceRecorder&) = delete;

  /// Returns a sink for trace() and trace_all(). It may outlive the recorder.
  ///
  /// Cost: an event takes a lock and two look-ups, 40 ns beside what the tracing itself costs.
  [[nodiscard]] TraceSink sink() const {
    return [log = log_](const TraceEvent& event) { log->add(event); };
  }

  /// Returns how many events are kept.
  [[nodiscard]] std::size_t size() const {
    const std::scoped_lock lock{log_->mutex};
    return log_->entries.size();
  }
  /// Returns how many events were not, for want of room; the file tells it as well.
  [[nodiscard]] std::size_t dropped() const {
    const std::scoped_lock lock{log_->mutex};
    return log_->dropped;
  }
  /// Forgets the events; the time goes on.
  void clear();

  /// Returns the trace of the events so far.
  [[nodiscard]] std::string json() const;
  /// Writes json() to a file, piece by piece.
  ///
  /// Throws: Error, with the file's name and the system's reason, if that fails.
  void write(const std::string& path) const;

 private:
  struct Log {
    explicit Log(std::size_t most) : capacity{most} {}
    void add(const TraceEvent& event);

    const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    const std::size_t capacity;
    std::mutex mutex{};
    // guarded by mutex:
    std::deque<TraceEntry> entries{};
    TraceDrawing::Names names{};
    std::size_t dropped = 0;
  };

  void draw(const std::function<void(std::string_view)>& put) const;

  const std::shared_ptr<Log> log_;  // sinks on their way share it
};

inline void TraceRecorder::Log::add(const TraceEvent& event) {
  TraceEntry entry;
  entry.time = event.time - start;
  entry.server = event.server;
  entry.sender = event.sender;
  entry.site = event.site;
  entry.message = event.message;
  entry.thread = static_cast<std::uint32_t>(event.thread);
  entry.kind = event.kind;
  entry.has_failed = event.has_failed;

  const std::scoped_lock lock{mutex};
  if (entries.size() >= capacity) {
    ++dropped;
    return;
  }
  try {
    names.try_emplace(event.server, event.name);
    if (event.sender != Pid{}) names.try_emplace(event.sender, event.sender_name);
    entries.push_back(entry);
  } catch (const std::bad_alloc&) {
    ++dropped;
  }
}

inline void TraceRecorder::clear() {
  std::deque<TraceEntry> old;  // outlives the lock, which sinks wait for
  const std::scoped_lock lock{log_->mutex};
  log_->entries.swap(old);
  log_->names.clear();
  log_->dropped = 0;
}

inline void TraceRecorder::draw(const std::function<void(std::string_view)>& put) const {
  std::vector<TraceEntry> entries;
  TraceDrawing::Names names;
  std::size_t dropped = 0;
  {
    const std::scoped_lock lock{log_->mutex};
    entries.assign(log_->entries.begin(), log_->entries.end());
    names = log_->names;
    dropped = log_->dropped;
  }
  TraceDrawing{std::move(entries), std::move(names)}.draw(put, dropped);
}

inline std::string TraceRecorder::json() const {
  std::string text;
  draw([&](std::string_view part) { text += part; });
  return text;
}

inline void TraceRecorder::write(const std::string& path) const {
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  const auto check = [&path](bool is_fine) {
    if (is_fine) return;
    throw Error{fmt::format("the trace could not be written to \"{}\": {}", path,
                            std::generic_category().message(errno))};
  };
  std::unique_ptr<std::FILE, Close> file{std::fopen(path.c_str(), "wb")};
  check(file != nullptr);
  draw([&](std::string_view part) {
    check(std::fwrite(part.data(), 1, part.size(), file.get()) == part.size());
  });
  check(std::fclose(file.release()) == 0);
}

}  // namespace genserver::v0
