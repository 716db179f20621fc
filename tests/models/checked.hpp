// SPDX-License-Identifier: BSL-1.0
// Atomics, a mutex and plain variables whose every access Relacy checks.
#pragma once

#include <relacy/relacy.hpp>
// Relacy's replacements of the language's words; what is checked here is replaced by name.
#undef VAR
#undef assert
#undef calloc
#undef delete
#undef errno
#undef free
#undef malloc
#undef memory_order_acq_rel
#undef memory_order_acquire
#undef memory_order_consume
#undef memory_order_relaxed
#undef memory_order_release
#undef memory_order_seq_cst
#undef new
#undef realloc

#include <cerrno>
#include <cstdint>

namespace model {

inline constexpr rl::memory_order memory_order_relaxed = rl::mo_relaxed;
inline constexpr rl::memory_order memory_order_acquire = rl::mo_acquire;
inline constexpr rl::memory_order memory_order_release = rl::mo_release;
inline constexpr rl::memory_order memory_order_acq_rel = rl::mo_acq_rel;

/// A line of the checked code, for the history of a run that fails.
struct Place : rl::debug_info {
  static Place here(const char* function = __builtin_FUNCTION(),
                    const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    return Place{{function, file, line}};
  }
};

/// Ends the run as failed unless `holds`.
inline void require(bool holds, const char* what, const Place& place = Place::here()) {
  if (!holds) rl::ctx().fail_test(what, rl::test_result_user_assert_failed, place);
}

/// Notices who uses an object after its end.
class Life {
 public:
  Life() = default;
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;
  ~Life() { mark_ = 0; }

  void check(const Place& place) const {
    if (mark_ == alive) return;
    rl::ctx().fail_test("used after its end", rl::test_result_access_to_freed_memory, place);
  }

 private:
  static constexpr std::uint32_t alive = 0x5eed1e55;
  volatile std::uint32_t mark_ = alive;  // volatile: else its last write would be left out
};

/// Stands for std::atomic. Beyond what Relacy does, an exchange that fails may have read an old
/// value, since then it is a load as any other.
template <class Value>
class Atomic {
 public:
  Atomic(Value value) : value_{value} {}

  Value load(rl::memory_order order, const Place& place = Place::here()) const {
    begin(place);
    return value_.load(order, place);
  }
  void store(Value value, rl::memory_order order, const Place& place = Place::here()) {
    begin(place);
    value_.store(value, order, place);
  }
  Value exchange(Value value, rl::memory_order order, const Place& place = Place::here()) {
    begin(place);
    return value_.exchange(value, order, place);
  }
  Value fetch_add(Value value, rl::memory_order order, const Place& place = Place::here()) {
    begin(place);
    return value_.fetch_add(value, order, place);
  }
  Value fetch_sub(Value value, rl::memory_order order, const Place& place = Place::here()) {
    begin(place);
    return value_.fetch_sub(value, order, place);
  }
  Value fetch_and(Value value, rl::memory_order order, const Place& place = Place::here()) {
    begin(place);
    return value_.fetch_and(value, order, place);
  }
  Value fetch_or(Value value, rl::memory_order order, const Place& place = Place::here()) {
    begin(place);
    return value_.fetch_or(value, order, place);
  }
  bool compare_exchange_weak(Value& expected, Value value, rl::memory_order order,
                             rl::memory_order failure, const Place& place = Place::here()) {
    if (fails(expected, failure, place)) return false;
    return value_.compare_exchange_weak(expected, value, order, place, failure, place);
  }
  bool compare_exchange_strong(Value& expected, Value value, rl::memory_order order,
                               rl::memory_order failure, const Place& place = Place::here()) {
    if (fails(expected, failure, place)) return false;
    return value_.compare_exchange_strong(expected, value, order, place, failure, place);
  }
  // The order of a failure, if not given, is that of a load without what only a store can have.
  bool compare_exchange_strong(Value& expected, Value value, rl::memory_order order,
                               const Place& place = Place::here()) {
    const bool acquires = order == memory_order_acquire || order == memory_order_acq_rel;
    return compare_exchange_strong(expected, value, order,
                                   acquires ? memory_order_acquire : memory_order_relaxed, place);
  }
  bool compare_exchange_weak(Value& expected, Value value, rl::memory_order order,
                             const Place& place = Place::here()) {
    const bool acquires = order == memory_order_acquire || order == memory_order_acq_rel;
    return compare_exchange_weak(expected, value, order,
                                 acquires ? memory_order_acquire : memory_order_relaxed, place);
  }

  /// Returns what was written last, as only the kernel sees it.
  Value latest(const Place& place = Place::here()) const {
    life_.check(place);
    return value_.debug_value();
  }

 private:
  // Before each step a thread may be away for a while, in which the others do many of theirs.
  void begin(const Place& place) const {
    rl::context& context = rl::ctx();
    if (context.is_random_sched() && context.rand(24, rl::sched_type_user) == 0) {
      for (unsigned left = context.rand(24, rl::sched_type_user); left > 0; --left) context.sched();
    }
    life_.check(place);
  }

  bool fails(Value& expected, rl::memory_order failure, const Place& place) {
    begin(place);
    // Where all orders are tried, only once, since there would be no end.
    const bool is_random = rl::ctx().is_random_sched();
    if (!is_random && has_failed_) return false;
    if (rl::ctx().rand(is_random ? 4 : 2, rl::sched_type_user) != 0) return false;
    has_failed_ = true;
    const Value seen = value_.load(failure, place);
    if (seen == expected) return false;
    expected = seen;
    return true;
  }

  rl::atomic<Value> value_;
  Life life_{};
  bool has_failed_ = false;
};

/// Stands for a plain variable: two accesses without an order between them, one of which writes,
/// end the run as failed.
template <class Value>
class Plain {
 public:
  Plain(Value value) : value_{value} {}
  Plain(const Plain& other) : value_{other.read()} {}
  Plain& operator=(const Plain& other) { return *this = other.read(); }
  Plain& operator=(Value value) {
    life_.check(Place::here());
    value_(Place::here()) = value;
    return *this;
  }
  ~Plain() = default;

  operator Value() const { return read(); }
  auto& operator*() const { return *read(); }
  Value operator->() const { return read(); }
  Plain& operator++() { return *this = read() + 1; }
  Plain& operator--() { return *this = read() - 1; }

 private:
  Value read() const {
    life_.check(Place::here());
    return value_(Place::here());
  }

  rl::var<Value> value_;
  Life life_{};
};

/// Stands for std::mutex.
class Mutex {
 public:
  void lock() { mutex_.lock(Place::here()); }
  void unlock() { mutex_.unlock(Place::here()); }
  bool try_lock() { return mutex_.try_lock(Place::here()); }

 private:
  rl::mutex mutex_{};
};

}  // namespace model
