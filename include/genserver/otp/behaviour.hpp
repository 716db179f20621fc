// SPDX-License-Identifier: BSL-1.0
// Servers whose methods are found by name, as they are called.
#pragma once

#include <genserver/base/type_name.hpp>
#include <genserver/core/gen_server.hpp>
#include <genserver/sync/platform/demangled.hpp>

#include <fmt/core.h>

#include <any>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace genserver::inline v0 {

/// What a server does with a call that names its method; for listen(). A MethodTable makes one of
/// any class.
///
/// Erlang: handle_call/3.
class Behaviour {
 public:
  virtual ~Behaviour() = default;

  /// Returns the answer to the call of `method` with `body`. `seq` is a number that no other call
  /// of the server has. What it throws goes to the caller, and the server goes on.
  virtual std::any handle(std::string_view method, std::uint64_t seq, const std::any& body) = 0;
};

/// The answer to a call is of another type than the one that was asked for.
class [[gnu::visibility("default")]] WrongResult : public std::bad_any_cast {
 public:
  explicit WrongResult(std::string message)
      : message_{std::make_shared<const std::string>(std::move(message))} {}
  [[nodiscard]] const char* what() const noexcept override { return message_->c_str(); }

 private:
  std::shared_ptr<const std::string> message_;
};

/// Returns the name of the type that `value` holds, as "int" or "std::string"; "nothing" if it is
/// empty, "another type" without RTTI.
std::string type_of(const std::any& value);

/// The State of a server with a Behaviour.
class BehaviourState {
 public:
  /// Makes a T there, which derives from Behaviour.
  template <class T, class... Args>
  explicit BehaviourState(std::in_place_type_t<T>, Args&&... args)
      : behaviour_{std::make_unique<T>(std::forward<Args>(args)...)} {
    static_assert(std::is_base_of_v<Behaviour, T>,
                  "genserver: listen<T>() is for a T that derives publicly from Behaviour");
  }

  std::any handle(std::string_view method, const std::any& body) {
    return behaviour_->handle(method, ++last_seq_, body);
  }

 private:
  std::unique_ptr<Behaviour> behaviour_;
  std::uint64_t last_seq_ = 0;
};

/// A server whose methods are called by name: made by listen(). It is a GenServer in all else.
///
///   auto settings = listen<Settings>();
///   settings.call("put", Setting{"db.host", "localhost"});
///   const auto host = settings.call<std::string>("get", "db.host");
///
/// A body is any value that can be copied; text in quotes is sent as std::string. An error of a
/// method, also that there is none of that name, or that the body is of the wrong type, reaches
/// its caller only. So does std::bad_any_cast, which is thrown if `R` is not the type of the
/// answer; with `void`, which is the default, an answer is dropped, and with std::any it is
/// returned as it is.
class BehaviourServer : public GenServer<BehaviourState> {
 public:
  template <class T, class... Args>
  BehaviourServer(std::in_place_type_t<T> type, Options options, Args&&... args)
      : GenServer{named<T>(std::move(options)), type, std::forward<Args>(args)...} {}

  using GenServer::async_call;
  using GenServer::call;
  using GenServer::call_for;
  using GenServer::cast;

  /// Calls a method, and returns its answer.
  ///
  /// Blocks: until it has answered.
  /// Throws: what the method throws; WrongResult; ServerGone; Deadlock.
  template <class R = void, class Body = std::any>
  R call(std::string_view method, Body&& body = {}, CallSite site = CallSite::here()) const {
    return GenServer::call<R>(request<R>(method, std::forward<Body>(body)), site);
  }
  /// As call(), but gives up after `timeout`: CallTimeout.
  template <class R = void, class Body = std::any>
  R call_for(Timespan timeout, std::string_view method, Body&& body = {},
             CallSite site = CallSite::here()) const {
    return GenServer::call_for<R>(timeout, request<R>(method, std::forward<Body>(body)), site);
  }
  /// Calls a method, and returns at once.
  ///
  /// Blocks: while the mailbox is full.
  template <class R = void, class Body = std::any>
  Future<R> async_call(std::string_view method, Body&& body = {},
                       CallSite site = CallSite::here()) const {
    return GenServer::async_call<R>(request<R>(method, std::forward<Body>(body)), site);
  }
  /// Calls a method whose answer nobody wants to know, nor its error, which is counted in
  /// snapshots; the server goes on, unless Options::on_exception says otherwise. Returns false if
  /// the server has ended or the mailbox refuses it.
  ///
  /// Blocks: while the mailbox is full.
  template <class Body = std::any>
  bool cast(std::string_view method, Body&& body = {}, CallSite site = CallSite::here()) const;

 private:
  template <class T>
  static Options named(Options options) {
    if (options.name.empty()) options.name = std::string{type_name<T>()};
    return options;
  }
  template <class Body>
  static std::any boxed(Body&& body);
  template <class R>
  static R unboxed(std::any&& result, std::string_view method);
  template <class R, class Body>
  static auto request(std::string_view method, Body&& body);
};

/// Starts a server with a T, which derives from Behaviour, made of `args` on the server's thread.
/// Options may come first.
///
/// Blocks: until it is made. Throws: what T's constructor throws; StartFailed.
template <class T, class... Args>
[[nodiscard]] BehaviourServer listen(Options options, Args&&... args) {
  return BehaviourServer{std::in_place_type<T>, std::move(options), std::forward<Args>(args)...};
}
template <class T, class... Args>
[[nodiscard]] BehaviourServer listen(Args&&... args) {
  return BehaviourServer{std::in_place_type<T>, Options{}, std::forward<Args>(args)...};
}

namespace detail {

inline std::string name_of_any([[maybe_unused]] const std::any& value) {
#if defined(__cpp_rtti)
  if (value.type() == typeid(std::string)) return "std::string";
  // The name of the type, as a symbol: its text begins with these words.
  constexpr std::string_view words = "typeinfo name for ";
  const std::string text = platform::demangled(std::string{"_ZTS"} + value.type().name());
  return text.starts_with(words) ? text.substr(words.size()) : text;
#else
  return "another type";
#endif
}

/// Returns the name of T, in the words of type_of().
template <class T>
std::string name_of_type() {
  if constexpr (std::is_same_v<T, std::string>) return "std::string";
  return std::string{type_name<T>()};
}

}  // namespace detail

inline std::string type_of(const std::any& value) {
  return value.has_value() ? detail::name_of_any(value) : "nothing";
}

template <class Body>
std::any BehaviourServer::boxed(Body&& body) {
  using Value = std::decay_t<Body>;
  if constexpr (std::is_same_v<Value, const char*> || std::is_same_v<Value, char*> ||
                std::is_same_v<Value, std::string_view>) {
    return std::string{body};
  } else {
    static_assert(std::is_copy_constructible_v<Value>,
                  "genserver: the body of a method must be a value that can be copied");
    return std::any{std::forward<Body>(body)};
  }
}

template <class R>
R BehaviourServer::unboxed(std::any&& result, std::string_view method) {
  if constexpr (std::is_same_v<R, std::any>) {
    return std::move(result);
  } else if constexpr (!std::is_void_v<R>) {
    if (R* const value = std::any_cast<R>(&result)) return std::move(*value);
    throw WrongResult{fmt::format("\"{}\" was asked for {}, but returned {}", method,
                                  detail::name_of_type<R>(), type_of(result))};
  }
}

/// Returns a handler that owns all it uses, and keeps apart what the method throws, which is the
/// server's affair, and a wrong R, which is the caller's.
template <class R, class Body>
auto BehaviourServer::request(std::string_view method, Body&& body) {
  return [method = std::string{method}, body = boxed(std::forward<Body>(body))](
             BehaviourState& state, Reply<R> reply) {
    std::any result = state.handle(method, body);
    try {
      if constexpr (std::is_void_v<R>) {
        reply.reply();
      } else {
        reply.reply(unboxed<R>(std::move(result), method));
      }
    } catch (const WrongResult& error) {
      reply.fail(error);
    }
  };
}

template <class Body>
bool BehaviourServer::cast(std::string_view method, Body&& body, CallSite site) const {
  return GenServer::cast(
      [method = std::string{method}, body = boxed(std::forward<Body>(body))](
          BehaviourState& state) {
        // As in a call that nobody waits for: the error is dropped with the answer.
        static_cast<void>(capture([&] { state.handle(method, body); }, on_exception()));
      },
      site);
}

}  // namespace genserver::v0
