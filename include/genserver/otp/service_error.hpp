// SPDX-License-Identifier: BSL-1.0
// The exceptions with which services and their runner say no.
#pragma once

#include <genserver/base/error.hpp>

#include <cstddef>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// One service did not do what was asked for.
class [[gnu::visibility("default")]] ServiceError : public Error {
 public:
  enum class Kind {
    already_running,  ///< start(): it runs, or has not halted yet.
    not_enabled,      ///< start(): the runner is suspended or shut down.
    not_ready,        ///< It returned without having called ready().
    service_ended,    ///< It returned before anybody asked it to halt.
    halted,           ///< start(): it was halted before it was ready.
    exited,           ///< It was ended from outside: by an exit signal, or killed.
    failed,           ///< It threw reason(): before it was ready, or as it halted.
    start_timeout,    ///< start(): it was not ready at the deadline.
    cancelled,        ///< start(): the caller's stop token came first.
    halt_timeout,     ///< halt(): it had not ended at the deadline; it goes on halting.
    restart_limit     ///< TimedRestart: it was started as often as is allowed.
  };

  /// `detail` may say more, as where it was asked for.
  ServiceError(Kind kind, std::string service, const std::string& detail = {});
  ServiceError(Kind kind, const std::string& service, ExitReason reason)
      : ServiceError{kind, service, reason.cause() ? describe(reason.cause()) : reason.what()} {
    reason_ = std::move(reason);
  }

  /// Returns what it did not do.
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  /// Returns the service's name.
  [[nodiscard]] const std::string& service() const noexcept { return service_; }
  /// Returns with what the service has ended, if that is what it is about.
  [[nodiscard]] const ExitReason& reason() const noexcept { return reason_; }

 private:
  Kind kind_;
  std::string service_;
  ExitReason reason_ = ExitReason::normal();
};

/// Returns what a service has done, as "was not ready in time".
constexpr const char* to_string(ServiceError::Kind kind) noexcept {
  constexpr const char* words[] = {"runs already",
                                   "was not started: the runner is suspended or shut down",
                                   "returned without having called ready()",
                                   "returned before it was asked to halt",
                                   "was halted before it was ready",
                                   "was ended from outside",
                                   "failed",
                                   "was not ready in time",
                                   "was not ready when the start was cancelled",
                                   "has not ended in time and goes on halting",
                                   "was started as often as its limit allows"};
  return words[static_cast<std::size_t>(kind)];
}

/// What went wrong with one of several services.
struct ServiceFailure {
  std::string service{};
  ExitReason reason = ExitReason::normal();  ///< Its cause() is the exception.
};

/// Several services failed at once.
class [[gnu::visibility("default")]] ServiceErrors : public Error {
 public:
  explicit ServiceErrors(std::vector<ServiceFailure> failures)
      : Error{words(failures)}, failures_{std::move(failures)} {}

  /// Returns what went wrong with each of them.
  [[nodiscard]] const std::vector<ServiceFailure>& failures() const noexcept { return failures_; }

 private:
  static std::string words(const std::vector<ServiceFailure>& failures);

  std::vector<ServiceFailure> failures_;
};

/// Returns the failure that a ServiceError of this kind is; `detail` is text or an ExitReason.
template <class Detail = std::string>
ServiceFailure failure_of(ServiceError::Kind kind, const std::string& service,
                          const Detail& detail = {}) {
  const ServiceError error{kind, service, detail};
  return {service, ExitReason::exception(std::make_exception_ptr(error))};
}

/// Returns what `make()` does, or, if there is no memory for that, a failure which is nameless.
template <class Make>
ServiceFailure failure_or_error(Make&& make) noexcept {
  try {
    return make();
  } catch (...) {
    return {{}, ExitReason::exception(std::current_exception())};
  }
}

/// Returns why a server ends that throws this.
inline ExitReason reason_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Exit& exit) {
    return exit.reason;
  } catch (...) {
    return ExitReason::exception(thrown);
  }
}

/// Returns the failure as an exception of its own, which nobody else has: a ServiceError of this
/// service, whose reason() is the one that was given if it is something else.
inline ServiceFailure own_failure(const ServiceFailure& failure) {
  try {
    std::rethrow_exception(failure.reason.cause());
  } catch (const ServiceError& error) {
    if (error.service() == failure.service) {
      return {failure.service, ExitReason::exception(std::make_exception_ptr(error))};
    }
  } catch (...) {  // the service's own
  }
  return failure_of(ServiceError::Kind::failed, failure.service, failure.reason);
}

/// Throws what went wrong: nothing, the one exception, or a ServiceErrors.
inline void raise(std::vector<ServiceFailure> failures) {
  if (failures.empty()) return;
  if (failures.size() > 1) throw ServiceErrors{std::move(failures)};
  std::exception_ptr cause = failures.front().reason.cause();
  failures.clear();  // nothing here holds on to it when the caller has it
  std::rethrow_exception(std::move(cause));
}

inline ServiceError::ServiceError(Kind kind, std::string service, const std::string& detail)
    : Error{"service \"" + service + "\" " + to_string(kind) + (detail.empty() ? "" : ": ") +
            detail},
      kind_{kind},
      service_{std::move(service)} {}

inline std::string ServiceErrors::words(const std::vector<ServiceFailure>& failures) {
  std::string text = std::to_string(failures.size()) + " services failed";
  const char* separator = ": ";
  for (const ServiceFailure& failure : failures) {
    text += std::exchange(separator, "; ");
    text += "\"" + failure.service + "\": " + describe(failure.reason.cause());
  }
  return text;
}

}  // namespace genserver::v0
