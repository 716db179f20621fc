// SPDX-License-Identifier: BSL-1.0
// Collects the library's reports for as long as it lives, instead of printing them.
#pragma once

#include <genserver/sync/report_sink.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

class ReportLog {
 public:
  ReportLog() {
    genserver::set_report_sink([kept = kept_](const genserver::Report& report) {
      const std::scoped_lock lock{kept->mutex};
      kept->reports.push_back(report);
    });
  }
  ~ReportLog() { genserver::set_report_sink(nullptr); }
  ReportLog(const ReportLog&) = delete;
  ReportLog& operator=(const ReportLog&) = delete;

  /// Returns the reports of one kind that have come so far.
  [[nodiscard]] std::vector<genserver::Report> of(genserver::Report::Kind kind) const {
    const std::scoped_lock lock{kept_->mutex};
    std::vector<genserver::Report> found;
    for (const auto& report : kept_->reports) {
      if (report.kind == kind) found.push_back(report);
    }
    return found;
  }
  [[nodiscard]] std::size_t count(genserver::Report::Kind kind) const { return of(kind).size(); }

 private:
  struct Kept {
    std::mutex mutex{};
    std::vector<genserver::Report> reports{};  // guarded by mutex
  };
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();  // a sink may run after this is gone
};
