// SPDX-License-Identifier: BSL-1.0
// The standard's stop tokens, or the part of them that is needed where it has none.
#pragma once

#include <functional>
#include <version>

#if defined(__cpp_lib_jthread)

#include <stop_token>

namespace genserver::inline v0 {

using StopToken = std::stop_token;
using StopSource = std::stop_source;
using StopCallback = std::stop_callback<std::function<void()>>;

}  // namespace genserver::v0

#else

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

class StopCallback;

namespace detail {

/// What the source, the tokens and the callbacks of one wish to stop share.
struct StopState {
  //   P1  request_stop(): release ──▶ stop_requested(): acquire
  std::atomic<bool> is_requested{false};

  std::mutex mutex{};
  std::condition_variable returned{};     // `running` has changed
  std::vector<StopCallback*> callbacks{};  // guarded by mutex
  const StopCallback* running = nullptr;   // guarded by mutex
  std::thread::id runner{};                // guarded by mutex: who runs it
};

}  // namespace detail

/// As std::stop_token.
class StopToken {
 public:
  StopToken() noexcept = default;

  [[nodiscard]] bool stop_requested() const noexcept {
    return state_ != nullptr && state_->is_requested.load(std::memory_order_acquire);  // P1
  }
  [[nodiscard]] bool stop_possible() const noexcept { return state_ != nullptr; }

 private:
  friend class StopCallback;
  friend class StopSource;
  explicit StopToken(std::shared_ptr<detail::StopState> state) noexcept
      : state_{std::move(state)} {}

  std::shared_ptr<detail::StopState> state_{};
};

/// As std::stop_callback<std::function<void()>>.
class StopCallback {
 public:
  StopCallback(const StopToken& token, std::function<void()> function);
  ~StopCallback();
  StopCallback(const StopCallback&) = delete;
  StopCallback& operator=(const StopCallback&) = delete;

 private:
  friend class StopSource;

  const std::shared_ptr<detail::StopState> state_;
  const std::function<void()> function_;
};

/// As std::stop_source.
class StopSource {
 public:
  bool request_stop() noexcept;
  [[nodiscard]] StopToken get_token() const noexcept { return StopToken{state_}; }

 private:
  std::shared_ptr<detail::StopState> state_ = std::make_shared<detail::StopState>();
};

inline StopCallback::StopCallback(const StopToken& token, std::function<void()> function)
    : state_{token.state_}, function_{std::move(function)} {
  if (state_ == nullptr) return;
  {
    const std::scoped_lock lock{state_->mutex};
    if (!token.stop_requested()) {
      state_->callbacks.push_back(this);
      return;
    }
  }
  function_();
}

inline StopCallback::~StopCallback() {
  if (state_ == nullptr) return;
  std::unique_lock lock{state_->mutex};
  std::erase(state_->callbacks, this);
  // Ends when it has returned; one that destroys itself does not wait.
  if (state_->runner == std::this_thread::get_id()) return;
  state_->returned.wait(lock, [this] { return state_->running != this; });
}

inline bool StopSource::request_stop() noexcept {
  const std::shared_ptr<detail::StopState> state = state_;  // a callback may drop this source
  std::unique_lock lock{state->mutex};
  if (state->is_requested.exchange(true, std::memory_order_release)) return false;  // P1
  state->runner = std::this_thread::get_id();
  while (!state->callbacks.empty()) {
    StopCallback* const next = state->callbacks.back();
    state->callbacks.pop_back();
    state->running = next;
    lock.unlock();
    next->function_();  // it may destroy `next`
    lock.lock();
    state->running = nullptr;
    state->returned.notify_all();
  }
  state->runner = std::thread::id{};
  return true;
}

}  // namespace genserver::v0

#endif
