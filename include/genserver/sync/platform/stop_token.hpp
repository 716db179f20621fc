// SPDX-License-Identifier: BSL-1.0
// The standard's stop tokens, or the part of them that is needed where it has none.
#pragma once

#include <version>

#if defined(__cpp_lib_jthread)

#include <stop_token>

namespace genserver {

using StopToken = std::stop_token;
using StopSource = std::stop_source;

}  // namespace genserver

#else

#include <atomic>
#include <memory>
#include <utility>

namespace genserver {

/// As std::stop_token, but for callbacks.
class StopToken {
 public:
  StopToken() noexcept = default;

  [[nodiscard]] bool stop_requested() const noexcept {
    return state_ != nullptr && state_->load(std::memory_order_acquire);  // P1
  }
  [[nodiscard]] bool stop_possible() const noexcept { return state_ != nullptr; }

 private:
  friend class StopSource;
  explicit StopToken(std::shared_ptr<const std::atomic<bool>> state) noexcept
      : state_{std::move(state)} {}

  std::shared_ptr<const std::atomic<bool>> state_{};
};

/// As std::stop_source.
class StopSource {
 public:
  bool request_stop() noexcept {
    return !state_->exchange(true, std::memory_order_release);  // P1
  }
  [[nodiscard]] StopToken get_token() const noexcept { return StopToken{state_}; }

 private:
  //   P1  request_stop(): release ──▶ stop_requested(): acquire
  std::shared_ptr<std::atomic<bool>> state_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace genserver

#endif
