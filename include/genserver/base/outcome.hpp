// SPDX-License-Identifier: BSL-1.0
// What became of a request: a value, an exception, or a refusal.
#pragma once

#include <genserver/base/message.hpp>

#include <exception>
#include <new>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

/// Stands for the value of a request that returns nothing.
struct Nothing {};

/// Holds the result of a handler of type `R`, or why there is none.
///
/// Threads: one at a time; whoever publishes it to another thread orders the two.
template <class R>
class Outcome {
 public:
  using Value = std::conditional_t<std::is_void_v<R>, Nothing, std::remove_cv_t<R>>;

  Outcome() noexcept {}
  ~Outcome() { reset(); }
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;

  /// Keeps what `function()` returns, made in place.
  ///
  /// Throws: what `function` throws; then it stays empty.
  template <class Function>
  void emplace_result_of(Function&& function);

  /// Keeps what `other` holds, moved out of it, in place of nothing.
  ///
  /// Throws: what moving the value throws; then it stays empty.
  void take_over(Outcome& other);

  void set_exception(std::exception_ptr error) noexcept;
  void set_refusal(const Refusal& refusal) noexcept;

  [[nodiscard]] bool is_refusal() const noexcept { return kind_ == Kind::refusal; }
  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }

  /// Returns the value, moved out.
  ///
  /// Throws: the exception, if it holds one. A refusal is the caller's to turn into words.
  R take();

 private:
  enum class Kind : unsigned char { empty, value, exception, refusal };

  void reset() noexcept;

  union {  // The member that kind_ names is alive.
    Value value_;
    std::exception_ptr exception_;
    Refusal refusal_;
  };
  Kind kind_ = Kind::empty;
};

template <class R>
template <class Function>
void Outcome<R>::emplace_result_of(Function&& function) {
  if constexpr (std::is_void_v<R>) {
    function();
    ::new (static_cast<void*>(&value_)) Nothing{};
  } else {
    ::new (static_cast<void*>(&value_)) Value(function());
  }
  kind_ = Kind::value;
}

template <class R>
void Outcome<R>::take_over(Outcome& other) {
  switch (other.kind_) {
    case Kind::value:
      ::new (static_cast<void*>(&value_)) Value(std::move(other.value_));
      kind_ = Kind::value;
      break;
    case Kind::exception: set_exception(std::move(other.exception_)); break;
    case Kind::refusal: set_refusal(other.refusal_); break;
    case Kind::empty: break;
  }
}

template <class R>
void Outcome<R>::set_exception(std::exception_ptr error) noexcept {
  ::new (static_cast<void*>(&exception_)) std::exception_ptr{std::move(error)};
  kind_ = Kind::exception;
}

template <class R>
void Outcome<R>::set_refusal(const Refusal& refusal) noexcept {
  ::new (static_cast<void*>(&refusal_)) Refusal{refusal};
  kind_ = Kind::refusal;
}

template <class R>
R Outcome<R>::take() {
  if (kind_ == Kind::exception) {
    // Moved out first, so that this outcome holds no reference while the exception travels.
    std::exception_ptr error = std::move(exception_);
    reset();
    std::rethrow_exception(std::move(error));
  }
  if constexpr (!std::is_void_v<R>) return std::move(value_);
}

template <class R>
void Outcome<R>::reset() noexcept {
  switch (std::exchange(kind_, Kind::empty)) {
    case Kind::value: value_.~Value(); break;
    case Kind::exception: exception_.~exception_ptr(); break;
    case Kind::refusal: refusal_.~Refusal(); break;
    case Kind::empty: break;
  }
}

}  // namespace genserver::v0
