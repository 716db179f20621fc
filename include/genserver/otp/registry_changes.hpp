// SPDX-License-Identifier: BSL-1.0
// The news of a registry, in order.
#pragma once

#include <genserver/core/server_ref.hpp>

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace genserver::inline v0 {

/// A name that was given to a server or taken away from it.
template <class State, class Key>
struct RegistryChange {
  enum class Kind { registered, unregistered };

  Kind kind = Kind::registered;
  Key key{};
  ServerRef<State> server{};
};

/// Hands changes to a listener one by one, in the order in which they were added, though threads
/// make them at the same time and no lock is held: whoever finds nobody telling tells all.
///
/// Threads: any.
template <class State, class Key>
class RegistryChanges {
 public:
  using Change = RegistryChange<State, Key>;
  using Listener = std::function<void(const Change&)>;

  void set_listener(Listener listener) {
    auto next = listener ? std::make_shared<const Listener>(std::move(listener)) : nullptr;
    const std::scoped_lock lock{mutex_};
    listener_.swap(next);
    if (listener_ == nullptr) changes_.clear();
  }

  /// Takes note of a change, under the lock that orders it; tell() is due when that is released.
  void add(Change change) {
    const std::scoped_lock lock{mutex_};
    if (listener_ != nullptr) changes_.push_back(std::move(change));
  }

  /// Tells the listener of what was added, unless another thread is doing that.
  void tell() {
    std::unique_lock lock{mutex_};
    if (is_telling_) return;
    is_telling_ = true;
    struct Last {  // also if the thread is ended in the listener
      RegistryChanges& changes;
      std::unique_lock<std::mutex>& lock;
      ~Last() {
        if (!lock.owns_lock()) lock.lock();
        changes.is_telling_ = false;
      }
    } const last{*this, lock};
    while (!changes_.empty() && listener_ != nullptr) {
      std::optional<Change> change{std::move(changes_.front())};
      changes_.pop_front();
      const std::shared_ptr<const Listener> listener = listener_;
      lock.unlock();
      try {
        (*listener)(*change);
      } catch (...) {  // nobody is there to receive it
        if (std::current_exception() == nullptr) throw;  // the thread ends
      }
      change.reset();  // the user's key is not destroyed under the lock
      lock.lock();
    }
  }

 private:
  std::mutex mutex_{};
  std::shared_ptr<const Listener> listener_{};  // guarded by mutex_
  std::deque<Change> changes_{};                // guarded by mutex_
  bool is_telling_ = false;                     // guarded by mutex_
};

}  // namespace genserver::v0
