// SPDX-License-Identifier: BSL-1.0
// Sleeping on any 32-bit word, for systems whose kernel does not offer it.
#pragma once

#include <genserver/base/deadline.hpp>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>

namespace genserver::inline v0 {

/// Lets threads sleep on the address of a word, as a futex does, with one mutex and condition
/// variable for all words whose address falls into the same of 64 places.
class ParkingLot {
 public:
  /// Returns the one lot of the process; it is never destroyed.
  [[gnu::visibility("default")]] static ParkingLot& instance() {
    static ParkingLot& lot = *new ParkingLot;
    return lot;
  }

  /// Sleeps while `word` holds `expected`.
  ///
  /// Blocks:  until wake_all() on the same word, or one that shares its place, or the deadline.
  ///          Returns false only when the deadline has passed.
  bool sleep_while_equal(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                         Deadline deadline);

  /// Wakes every thread that sleeps on `word`, whose address only is used.
  void wake_all(const std::atomic<std::uint32_t>* word);

 private:
  struct Place {
    std::mutex mutex{};
    std::condition_variable changed{};
  };

  Place& place_of(const void* address) noexcept {
    return places_[std::hash<const void*>{}(address) / alignof(std::max_align_t) % places_.size()];
  }

  std::array<Place, 64> places_{};
};

inline bool ParkingLot::sleep_while_equal(const std::atomic<std::uint32_t>& word,
                                          std::uint32_t expected, Deadline deadline) {
  Place& place = place_of(&word);
  std::unique_lock lock{place.mutex};
  // A waker changes the word first and then takes the mutex: either this load sees the change,
  // or the waker comes after wait() has let the mutex go. Relaxed, since the mutex orders it.
  if (word.load(std::memory_order_relaxed) != expected) return true;
  if (deadline.is_never()) {
    place.changed.wait(lock);
    return true;
  }
  // Some runtime libraries compute with the time, and a very early one would overflow.
  if (deadline.has_passed()) return false;
  return place.changed.wait_until(lock, deadline.when()) == std::cv_status::no_timeout;
}

inline void ParkingLot::wake_all(const std::atomic<std::uint32_t>* word) {
  Place& place = place_of(word);
  { const std::scoped_lock lock{place.mutex}; }
  place.changed.notify_all();
}

}  // namespace genserver::v0
