// SPDX-License-Identifier: BSL-1.0
// The methods of a class by name.
#pragma once

#include <genserver/otp/behaviour.hpp>

#include <any>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

/// There is no method of that name.
class [[gnu::visibility("default")]] UnknownMethod : public Error {
 public:
  using Error::Error;
};

/// The body of a call is not of the type that the method takes.
class [[gnu::visibility("default")]] WrongBody : public Error {
 public:
  using Error::Error;
};

namespace detail {

/// What a method returns and takes, without its object.
template <class Method>
struct MethodTraits : MethodTraits<decltype(&Method::operator())> {
  static constexpr bool is_member = false;
};
template <class R, class... Parameters>
struct Signature {
  using Result = R;
  using Values = std::tuple<std::decay_t<Parameters>...>;
};
template <class R, class C, class... P>
struct MethodTraits<R (C::*)(P...)> {
  static constexpr bool is_member = true;
  using Whole = Signature<R, P...>;
};
template <class R, class C, class... P>
struct MethodTraits<R (C::*)(P...) const> : MethodTraits<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct MethodTraits<R (C::*)(P...) noexcept> : MethodTraits<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct MethodTraits<R (C::*)(P...) const noexcept> : MethodTraits<R (C::*)(P...)> {};
template <class R, class... P>
struct MethodTraits<R (*)(P...)> {
  static constexpr bool is_member = false;
  using Whole = Signature<R, P...>;
};
template <class R, class... P>
struct MethodTraits<R (*)(P...) noexcept> : MethodTraits<R (*)(P...)> {};

template <class Tuple>
struct WithoutFirst;
template <class First, class... Rest>
struct WithoutFirst<std::tuple<First, Rest...>> {
  using type = std::tuple<Rest...>;
};

/// The values that a method takes besides its object, as a tuple.
template <class Method, bool is_member = MethodTraits<Method>::is_member>
struct MethodValues {
  using type = typename MethodTraits<Method>::Whole::Values;
};
template <class Method>
struct MethodValues<Method, false> {
  using type = typename WithoutFirst<typename MethodTraits<Method>::Whole::Values>::type;
};

}  // namespace detail

/// The methods of T that can be called by name.
///
///   MethodTable<Store> methods;
///   methods.on("get", &Store::get).on("clear", [](Store& store) { store = {}; });
///   auto store = listen(methods);
///   store.call<std::string>("get", "milk");
///
/// A method is a member function, or a function whose first parameter is `T&`, and that is not
/// mutable. It takes its body: nothing; one value; several, which are sent as one std::tuple; or a
/// std::any of whatever type. The types are those of the parameters without const and reference,
/// to the letter.
template <class T>
class MethodTable {
 public:
  /// Adds a method. Throws: InvalidArgument if there is one of that name.
  template <class Method>
  MethodTable& on(std::string name, Method method);

  /// Calls a method. Throws: UnknownMethod; WrongBody; what the method throws.
  std::any handle(T& object, std::string_view name, const std::any& body) const;

 private:
  using Function = std::function<std::any(T&, const std::any&)>;

  template <class Value>
  static const Value& unboxed(std::string_view name, const std::any& body);
  template <class Method, class... Values>
  static std::any invoke(const Method& method, T& object, Values&&... values);
  [[nodiscard]] std::string names() const;

  std::map<std::string, Function, std::less<>> methods_{};
};

/// An object of T, which is a behaviour by its table.
template <class T>
class TableBehaviour final : public Behaviour {
 public:
  template <class... Args>
  explicit TableBehaviour(MethodTable<T> methods, Args&&... args)
      : methods_{std::move(methods)}, object_(made(std::forward<Args>(args)...)) {}

  std::any handle(std::string_view method, std::uint64_t, const std::any& body) override {
    return methods_.handle(object_, method, body);
  }

 private:
  template <class... Args>
  static T made(Args&&... args) {
    if constexpr (std::is_constructible_v<T, Args...>) {
      return T(std::forward<Args>(args)...);
    } else {
      return T{std::forward<Args>(args)...};  // an aggregate
    }
  }

  const MethodTable<T> methods_;
  T object_;
};

/// Starts a server with a T made of `args`, on the server's thread, whose methods are those of the
/// table. Options may come second.
///
/// Blocks: until it is made. Throws: as listen<T>().
template <class T, class... Args>
BehaviourServer listen(MethodTable<T> methods, Options options, Args&&... args) {
  if (options.name.empty()) options.name = std::string{type_name<T>()};
  return listen<TableBehaviour<T>>(std::move(options), std::move(methods),
                                   std::forward<Args>(args)...);
}
template <class T, class... Args>
BehaviourServer listen(MethodTable<T> methods, Args&&... args) {
  return listen(std::move(methods), Options{}, std::forward<Args>(args)...);
}

template <class T>
template <class Method>
MethodTable<T>& MethodTable<T>::on(std::string name, Method method) {
  using Values = typename detail::MethodValues<Method>::type;
  constexpr std::size_t count = std::tuple_size_v<Values>;
  Function function = [method, name](T& object, const std::any& body) -> std::any {
    if constexpr (count == 0) {
      if (!body.has_value()) return invoke(method, object);
      throw WrongBody{fmt::format("\"{}\" of {} takes nothing, but was given {}", name,
                                  type_name<T>(), type_of(body))};
    } else if constexpr (count == 1) {
      using Value = std::tuple_element_t<0, Values>;
      return invoke(method, object, unboxed<Value>(name, body));
    } else {
      return std::apply([&](const auto&... values) { return invoke(method, object, values...); },
                        unboxed<Values>(name, body));
    }
  };
  if (!methods_.try_emplace(name, std::move(function)).second) {
    throw InvalidArgument{fmt::format("{} has two methods \"{}\"", type_name<T>(), name)};
  }
  return *this;
}

template <class T>
std::any MethodTable<T>::handle(T& object, std::string_view name, const std::any& body) const {
  const auto method = methods_.find(name);
  if (method != methods_.end()) return method->second(object, body);
  throw UnknownMethod{
      fmt::format("\"{}\" is no method of {}, which has {}", name, type_name<T>(), names())};
}

template <class T>
template <class Value>
const Value& MethodTable<T>::unboxed(std::string_view name, const std::any& body) {
  if constexpr (std::is_same_v<Value, std::any>) {
    return body;
  } else {
    if (const Value* const value = std::any_cast<Value>(&body)) return *value;
    throw WrongBody{fmt::format("\"{}\" of {} takes {}, but was given {}", name, type_name<T>(),
                                detail::name_of_type<Value>(), type_of(body))};
  }
}

/// Gives each parameter what it takes: one by value its own copy. None gets a value to move from.
template <class T>
template <class Method, class... Values>
std::any MethodTable<T>::invoke(const Method& method, T& object, Values&&... values) {
  static_assert(std::is_invocable_v<const Method&, T&, Values...>,
                "genserver: a method is a member function of T, or a function that can be called "
                "when it is const and takes T& first; it takes its values by value or by "
                "reference to const");
  using Result = std::invoke_result_t<const Method&, T&, Values...>;
  if constexpr (std::is_void_v<Result>) {
    std::invoke(method, object, std::forward<Values>(values)...);
    return {};
  } else {
    using Value = std::decay_t<Result>;
    static_assert(std::is_copy_constructible_v<Value> && ReturnsValue<Value>,
                  "genserver: a method returns a value that can be copied");
    return std::any{Value(std::invoke(method, object, std::forward<Values>(values)...))};
  }
}

template <class T>
std::string MethodTable<T>::names() const {
  std::string text;
  for (const auto& [name, method] : methods_) {
    text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", name);
  }
  return text.empty() ? "none" : text;
}

}  // namespace genserver::v0
