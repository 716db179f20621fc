// SPDX-License-Identifier: BSL-1.0
// Those who want to be told of one server's end.
#pragma once

#include <genserver/base/exit_reason.hpp>
#include <genserver/base/pid.hpp>

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace genserver::inline v0 {

/// Which server has ended, and why.
struct ExitedServer {
  Pid pid{};
  const std::string& name;
  ExitReason reason = ExitReason::normal();
};

/// Is told of the end of the server whose list it is in, once.
class ExitWatcher {
 public:
  ExitWatcher() noexcept = default;
  virtual ~ExitWatcher() = default;
  ExitWatcher(const ExitWatcher&) = delete;
  ExitWatcher& operator=(const ExitWatcher&) = delete;

  /// Runs on the thread that ends the server, under no lock of the library.
  virtual void on_exit(const ExitedServer& server) noexcept = 0;

 private:
  friend class ExitWatchers;
  std::list<std::shared_ptr<ExitWatcher>>::iterator place_{};  // guarded by the list's mutex
  bool is_listed_ = false;                                     // as above
};

/// The watchers of one server, in the order in which they came. Memory is needed only to add one,
/// so that telling them cannot fail.
///
/// Threads: any.
class ExitWatchers {
 public:
  /// Returns false if it is too late: they have been told.
  bool add(const std::shared_ptr<ExitWatcher>& watcher);
  /// It is told no more, unless that has begun.
  void remove(ExitWatcher& watcher) noexcept;
  /// Tells everybody, once and for all.
  void tell(const ExitedServer& server) noexcept;

 private:
  std::mutex mutex_{};
  std::list<std::shared_ptr<ExitWatcher>> watchers_{};  // guarded by mutex_
  bool is_told_ = false;                                // guarded by mutex_
};

inline bool ExitWatchers::add(const std::shared_ptr<ExitWatcher>& watcher) {
  std::list<std::shared_ptr<ExitWatcher>> one{watcher};  // memory is taken outside of the lock
  const std::scoped_lock lock{mutex_};
  if (is_told_) return false;
  watcher->place_ = one.begin();
  watcher->is_listed_ = true;
  watchers_.splice(watchers_.end(), one);
  return true;
}

inline void ExitWatchers::remove(ExitWatcher& watcher) noexcept {
  std::list<std::shared_ptr<ExitWatcher>> removed;  // outlives the lock
  const std::scoped_lock lock{mutex_};
  if (!std::exchange(watcher.is_listed_, false)) return;
  removed.splice(removed.end(), watchers_, watcher.place_);
}

inline void ExitWatchers::tell(const ExitedServer& server) noexcept {
  for (;;) {  // one by one, so that remove() of one that was not told yet still counts
    std::list<std::shared_ptr<ExitWatcher>> next;
    {
      const std::scoped_lock lock{mutex_};
      is_told_ = true;
      if (watchers_.empty()) return;
      next.splice(next.end(), watchers_, watchers_.begin());
      next.front()->is_listed_ = false;
    }
    next.front()->on_exit(server);
  }
}

}  // namespace genserver::v0
