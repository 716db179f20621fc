// SPDX-License-Identifier: BSL-1.0
// The one place of the process to which reports go.
#pragma once

#include <genserver/base/report.hpp>
#include <genserver/sync/platform/standard_error.hpp>
#include <genserver/sync/platform/thread.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace genserver::inline v0 {

using ReportSink = std::function<void(const Report&)>;

/// Sends every later report to `sink`; an empty one restores the default, which writes the
/// report's text to stderr as one block.
///
/// The sink runs on the thread where the incident was noticed, on several at a time, and under no
/// lock of the library. What it throws is dropped. It may cast to servers, but not wait for one:
/// it may be running in a handler that waits. A report that is on its way may still reach the sink
/// that was replaced.
///
/// Threads: any.
void set_report_sink(ReportSink sink);

/// Gives `report` to the sink.
void deliver(const Report& report) noexcept;

namespace detail {

struct SinkHolder {
  [[gnu::visibility("default")]] static SinkHolder& instance() {
    static SinkHolder& holder = *new SinkHolder;  // never destroyed: servers may outlive statics
    return holder;
  }

  std::mutex mutex{};
  std::shared_ptr<const ReportSink> sink{};  // guarded by mutex; null: the default
};

}  // namespace detail

inline void set_report_sink(ReportSink sink) {
  std::shared_ptr<const ReportSink> next;  // outlives the lock, and takes the old one with it
  if (sink) next = std::make_shared<const ReportSink>(std::move(sink));
  detail::SinkHolder& holder = detail::SinkHolder::instance();
  const std::scoped_lock lock{holder.mutex};
  holder.sink.swap(next);
}

inline void deliver(const Report& report) noexcept {
  const CancelGuard guard;
  try {
    std::shared_ptr<const ReportSink> sink;
    {
      detail::SinkHolder& holder = detail::SinkHolder::instance();
      const std::scoped_lock lock{holder.mutex};
      sink = holder.sink;
    }
    if (sink) {
      (*sink)(report);
    } else {
      write_to_standard_error(report.text());
    }
  } catch (...) {  // a report must not do more harm than what it is about
  }
}

}  // namespace genserver::v0
