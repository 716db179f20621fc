// SPDX-License-Identifier: BSL-1.0
// The runs that a runner keeps.
#pragma once

#include <genserver/otp/service_run.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Whether a runner starts services.
enum class RunnerState {
  enabled,
  suspended,  ///< It starts none; those that run go on.
  shut_down   ///< It starts none, and has asked all to halt.
};

/// What becomes of the services that a call of Runner::start() has started, if one of them fails.
enum class OnFailedStart {
  roll_back,  ///< They are halted. If one is refused, none is started.
  keep        ///< They go on; start() waits for all, and then throws.
};

/// One run and the server that it is.
struct KeptRun {
  std::shared_ptr<ServiceRun> run{};
  std::shared_ptr<GenServer<ServiceTask>> server{};
};

/// Knows which services run, and sees to it that each does so once.
///
/// Threads: any. No listener and no service is run under its mutex, which comes before that of a
///          run.
class RunnerTable final : public RunKeeper {
 public:
  RunnerTable(Runner& runner, ServiceListeners listeners)
      : runner_{&runner}, listeners_{std::move(listeners)} {}

  [[nodiscard]] RunnerState state() const {
    const std::scoped_lock lock{mutex_};
    return state_;
  }
  /// Returns false if `from` is set and it is in another state.
  bool change(RunnerState to, std::optional<RunnerState> from = std::nullopt) {
    const std::scoped_lock lock{mutex_};
    if (from && state_ != *from) return false;
    state_ = to;
    return true;
  }

  /// Returns why the service cannot be started now, if so.
  [[nodiscard]] std::optional<ServiceFailure> refusal(const Service& service,
                                                      const std::string& where) const {
    const std::scoped_lock lock{mutex_};
    return refusal_here(service, where);
  }
  /// Keeps the runs that can be started, and returns why the others cannot; those are dropped from
  /// `runs`. With `roll_back` it keeps none unless it can keep all.
  std::vector<ServiceFailure> add(std::vector<KeptRun>& runs, OnFailedStart on_failed_start,
                                  const std::string& where);

  /// Returns the service's last run, unless that is over.
  [[nodiscard]] std::optional<KeptRun> find(const Service& service) const {
    const std::scoped_lock lock{mutex_};
    return find_here(service);
  }
  /// Returns all runs, in the order in which they were started. A service that was started again
  /// while listeners are told of its end has two.
  [[nodiscard]] std::vector<KeptRun> all() const;

  inline void forget(const ServiceRun& run) noexcept override;
  [[nodiscard]] const ServiceListeners& listeners() const noexcept override { return listeners_; }
  inline bool begin_telling(Teller teller) noexcept override;
  inline void end_telling(Teller teller) noexcept override;
  [[nodiscard]] inline Runner& runner() const override;
  /// The runner goes, and its services have ended, but for the caller and who was killed. Nobody is
  /// told of anything but ends from now on.
  ///
  /// Blocks: until no other thread tells listeners; but not in a listener.
  void close() noexcept;

 private:
  [[nodiscard]] std::optional<ServiceFailure> refusal_here(const Service& service,
                                                           const std::string& where) const;
  [[nodiscard]] std::optional<KeptRun> find_here(const Service& service) const;
  void keep(const std::vector<KeptRun>& runs);

  std::atomic<Runner*> runner_;  // relaxed: it publishes nothing
  const ServiceListeners listeners_;
  OneShot quiet_{};  // it is closed, and tellers_ is 0

  mutable std::mutex mutex_{};
  // guarded by mutex_:
  RunnerState state_ = RunnerState::enabled;
  std::map<std::uint64_t, KeptRun> runs_{};             // by number, which grows
  std::unordered_map<Service, std::uint64_t> last_{};  // the number of a service's last run
  std::uint64_t last_number_ = 0;
  std::size_t tellers_ = 0;  // threads, but not those of services, which end before close()
  bool is_closed_ = false;
};

inline std::optional<KeptRun> RunnerTable::find_here(const Service& service) const {
  const auto number = last_.find(service);
  if (number == last_.end()) return std::nullopt;
  return runs_.at(number->second);
}

inline std::optional<ServiceFailure> RunnerTable::refusal_here(const Service& service,
                                                               const std::string& where) const {
  using Kind = ServiceError::Kind;
  if (state_ != RunnerState::enabled) return failure_of(Kind::not_enabled, service.name(), where);
  const auto last = find_here(service);
  if (!last || last->run->has_ended()) return std::nullopt;
  return failure_of(Kind::already_running, service.name(), where);
}

inline std::vector<ServiceFailure> RunnerTable::add(std::vector<KeptRun>& runs,
                                                    OnFailedStart on_failed_start,
                                                    const std::string& where) {
  std::vector<ServiceFailure> failures;
  std::vector<KeptRun> accepted;
  const std::vector<KeptRun> given = runs;  // outlives the lock: the last owners of their servers
  const std::scoped_lock lock{mutex_};
  for (const KeptRun& each : given) {
    const Service& service = each.run->service();
    auto failure = refusal_here(service, where);
    for (const KeptRun& other : accepted) {
      if (other.run->service() != service) continue;
      failure = failure_of(ServiceError::Kind::already_running, service.name(), where);
    }
    if (failure) {
      failures.push_back(std::move(*failure));
    } else {
      accepted.push_back(each);
    }
  }
  if (on_failed_start == OnFailedStart::roll_back && !failures.empty()) accepted.clear();
  keep(accepted);
  runs.swap(accepted);
  return failures;
}

/// Keeps all, or, if there is no memory for one, none. Under the mutex.
inline void RunnerTable::keep(const std::vector<KeptRun>& runs) {
  std::uint64_t number = last_number_;
  try {
    for (const KeptRun& each : runs) {
      runs_.emplace(++number, each);
      last_.try_emplace(each.run->service(), number);
    }
  } catch (...) {
    runs_.erase(runs_.upper_bound(last_number_), runs_.end());
    std::erase_if(last_, [this](const auto& entry) { return entry.second > last_number_; });
    throw;
  }
  for (const KeptRun& each : runs) {
    last_.find(each.run->service())->second = ++last_number_;
    each.run->admit();
  }
}

inline bool RunnerTable::begin_telling(Teller teller) noexcept {
  const std::scoped_lock lock{mutex_};
  if (is_closed_) return false;
  if (teller == Teller::other) ++tellers_;
  return true;
}

inline void RunnerTable::end_telling(Teller teller) noexcept {
  if (teller == Teller::run) return;
  const std::scoped_lock lock{mutex_};
  if (--tellers_ == 0 && is_closed_) quiet_.set();
}

inline void RunnerTable::close() noexcept {
  {
    const std::scoped_lock lock{mutex_};
    is_closed_ = true;
    if (tellers_ == 0) quiet_.set();
  }
  if (!Telling::of_any()) quiet_.sleep(Deadline::never());
  runner_.store(nullptr, std::memory_order_relaxed);  // see the member
}

inline Runner& RunnerTable::runner() const {
  Runner* const runner = runner_.load(std::memory_order_relaxed);  // see the member
  if (runner != nullptr) return *runner;
  throw InvalidArgument{"the runner of this service is gone"};
}

inline std::vector<KeptRun> RunnerTable::all() const {
  const std::scoped_lock lock{mutex_};
  std::vector<KeptRun> found;
  for (const auto& [number, kept] : runs_) found.push_back(kept);
  return found;
}

inline void RunnerTable::forget(const ServiceRun& run) noexcept {
  KeptRun last;  // outlives the lock: perhaps the last owner of its server
  const std::scoped_lock lock{mutex_};
  const auto is_it = [&run](const auto& entry) { return entry.second.run.get() == &run; };
  const auto number = last_.find(run.service());
  auto place = number == last_.end() ? runs_.end() : runs_.find(number->second);
  if (place != runs_.end() && is_it(*place)) {
    last_.erase(number);
  } else {  // the service was started again, or it is not kept
    place = std::find_if(runs_.begin(), runs_.end(), is_it);
  }
  if (place == runs_.end()) return;
  last = std::move(place->second);
  runs_.erase(place);
}

}  // namespace genserver::v0
