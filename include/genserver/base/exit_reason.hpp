// SPDX-License-Identifier: BSL-1.0
// The reason why a server ended.
#pragma once

#include <fmt/core.h>

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace genserver::inline v0 {

/// Tells why a server ended; a value, cheap to copy.
///
/// Threads: a const reason may be read by any thread.
/// Erlang:  the exit reason of a process: normal, shutdown, {shutdown, Detail}, killed, noproc,
///          or the term of an error.
class ExitReason {
 public:
  enum class Kind {
    normal,     ///< It did what it was there for, or was asked to stop.
    shutdown,   ///< Who is in charge of it has stopped it.
    killed,     ///< It was given no chance to clean up.
    exception,  ///< A handler threw cause().
    no_server   ///< It had ended before one looked.
  };

  /// The server was asked to stop, and did.
  static ExitReason normal() noexcept { return ExitReason{Kind::normal}; }
  /// It was stopped by whoever is in charge of it; `detail` may say why.
  static ExitReason shutdown(std::string detail = {});
  /// It was abandoned without a chance to clean up.
  static ExitReason killed() noexcept { return ExitReason{Kind::killed}; }
  /// A handler threw `error` where no caller could receive it. A null `error` is allowed. If
  /// there is no memory for it, only the kind is kept.
  static ExitReason exception(std::exception_ptr error) noexcept;
  /// There was no server: it had ended before one looked.
  static ExitReason no_server() noexcept { return ExitReason{Kind::no_server}; }

  /// Returns the sort of end.
  [[nodiscard]] Kind kind() const noexcept { return kind_; }

  /// Returns true unless the end was wanted, that is normal or shutdown.
  [[nodiscard]] bool is_abnormal() const noexcept {
    return kind_ != Kind::normal && kind_ != Kind::shutdown;
  }

  /// Returns the reason in words, as "shutdown: upgrade" or "exception: no such file".
  [[nodiscard]] std::string what() const;

  /// Returns the exception of kind() exception, else null.
  [[nodiscard]] std::exception_ptr cause() const { return detail_ ? detail_->error : nullptr; }

  /// Equal: the same kind with the same detail, or with the very same exception object.
  friend bool operator==(const ExitReason& a, const ExitReason& b) noexcept;

 private:
  struct Detail {
    std::string text{};
    std::exception_ptr error{};
  };

  explicit ExitReason(Kind kind) noexcept : kind_{kind} {}

  Kind kind_;
  // Shared and never changed. The exception is reached through this pointer only, because its
  // own reference count lives in the runtime library, where ThreadSanitizer cannot see it.
  std::shared_ptr<const Detail> detail_{};
};

/// Ends the server when a handler throws it, with `reason`.
///
/// It is no std::exception, so that a handler's own `catch (const std::exception&)` lets it pass.
///
/// Erlang: exit/1.
struct [[gnu::visibility("default")]] Exit {
  ExitReason reason = ExitReason::normal();
};

/// Returns the text of `error`: what() of a std::exception.
inline std::string describe(const std::exception_ptr& error) {
  if (!error) return "no exception";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

inline ExitReason ExitReason::shutdown(std::string detail) {
  ExitReason reason{Kind::shutdown};
  if (!detail.empty()) {
    reason.detail_ = std::make_shared<const Detail>(Detail{std::move(detail), nullptr});
  }
  return reason;
}

inline ExitReason ExitReason::exception(std::exception_ptr error) noexcept {
  ExitReason reason{Kind::exception};
  try {
    std::string text = describe(error);
    reason.detail_ = std::make_shared<const Detail>(Detail{std::move(text), std::move(error)});
  } catch (...) {  // out of memory, which must not keep the server from ending
  }
  return reason;
}

inline std::string ExitReason::what() const {
  constexpr std::string_view words[] = {"normal", "shutdown", "killed", "exception", "no server"};
  std::string text{words[static_cast<std::size_t>(kind_)]};
  if (detail_) text.append(": ").append(detail_->text);
  return text;
}

inline bool operator==(const ExitReason& a, const ExitReason& b) noexcept {
  if (a.kind_ != b.kind_) return false;
  if (a.detail_ == b.detail_) return true;
  if (!a.detail_ || !b.detail_) return false;
  return a.detail_->text == b.detail_->text && a.detail_->error == b.detail_->error;
}

}  // namespace genserver::v0

template <>
struct fmt::formatter<genserver::ExitReason> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const genserver::ExitReason& reason, Context& context) const {
    auto out = context.out();
    for (const char c : reason.what()) *out++ = c;
    return out;
  }
};
