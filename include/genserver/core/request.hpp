// SPDX-License-Identifier: BSL-1.0
// A request whose caller may leave before the answer comes.
// A little longer than other headers, since caller and server share one state machine.
#pragma once

#include <genserver/base/outcome.hpp>
#include <genserver/core/callee.hpp>
#include <genserver/core/caller_edge.hpp>
#include <genserver/core/tracer.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

namespace genserver::inline v0 {

class Request;

/// The requests whose answer a server has left for later.
///
/// Threads: any.
class RequestBook {
 public:
  void add(Request& request);
  void remove(Request& request) noexcept;

  /// From now on a Reply that is dropped means that the server ended with `reason`.
  void close(const ExitReason& reason) noexcept;
  [[nodiscard]] Refusal meaning_of_dropped() const;

  /// Completes every request that is still open; after close().
  void refuse_all();

 private:
  mutable std::mutex mutex_{};
  std::unordered_set<Request*> open_{};       // guarded by mutex_
  std::optional<ExitReason> end_{};           // guarded by mutex_
};

/// What a caller and a server share about one request: how far it is, and who waits for it.
///
///   queued ──▶ running ──▶ parked        each may become answered, or given up by its caller;
///                                        whichever is first counts
///
/// Threads: any.
class Request : public std::enable_shared_from_this<Request> {
 public:
  /// `book` belongs to `server`.
  Request(std::shared_ptr<Callee> server, RequestBook& book, const CallSite& site) noexcept
      : server_{std::move(server)}, book_{book}, site_{site} {}
  virtual ~Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  [[nodiscard]] Callee& server() const noexcept { return *server_; }
  [[nodiscard]] const CallSite& site() const noexcept { return site_; }
  [[nodiscard]] bool is_done() const noexcept { return done_.is_set(); }

  /// The server takes it up, as the message with this number. Returns false if the caller has
  /// given up: it must not run.
  bool begin(std::uint64_t message);
  /// The handler has returned or thrown. If it has not answered, the answer is left for later,
  /// or the reply was dropped.
  void end_of_handler();

  /// Completes it. Returns false if it was answered or given up before.
  bool fail(std::exception_ptr error);
  bool refuse(const Refusal& refusal);
  /// Its Reply is destroyed: completes it with NoReply, or ServerGone once the server is ending;
  /// but while the handler runs, only when that has returned, since it may be throwing.
  void drop();

  /// The caller leaves. Returns how far the request was, or nothing if it has been answered.
  std::optional<CallPhase> give_up();

  /// The caller leaves as soon as the handler does not run: it may use what was lent to it.
  /// Returns false if it has been answered by then.
  ///
  /// Blocks: while the handler runs.
  bool leave_when_allowed();

  /// From now on anybody may answer, so waiting for it is no edge of the wait graph any more.
  void detach();

  void set_label(std::string label);
  [[nodiscard]] std::string label() const;
  [[nodiscard]] unsigned rounds() const;

  /// Throws CallTimeout for a request that was given up in `phase`.
  [[noreturn]] void raise_timeout(CallPhase phase) const;

 protected:
  /// Returns whether the calling thread may write the outcome; publish() is due then.
  bool claim();
  void publish() noexcept { done_.set(); }
  void trace_reply(bool has_failed) noexcept {
    if (server_->record().is_traced()) [[unlikely]] emit_reply(has_failed);
  }

 private:
  friend class RequestWait;

  void emit_reply(bool has_failed) noexcept;

  virtual void store(std::exception_ptr error) noexcept = 0;
  virtual void store(const Refusal& refusal) noexcept = 0;

  const std::shared_ptr<Callee> server_;
  RequestBook& book_;
  const CallSite site_;

  mutable std::mutex mutex_{};
  // guarded by mutex_:
  CallPhase phase_ = CallPhase::queued;
  bool is_settled_ = false;   // Answered, or given up.
  bool is_in_book_ = false;
  bool is_detached_ = false;
  bool is_dropped_ = false;   // Nobody can answer any more, but the handler may still throw.
  WaitToken waiter_{};        // The edge of the server that waits; ended before the answer.
  unsigned rounds_ = 0;
  std::uint64_t message_ = 0;  // the number that traces show
  std::string label_{};

  // Invariant: who claims the request (is_settled_ by claim()) alone writes the outcome, and
  // sets done_ afterwards; nobody reads the outcome before.
  OneShot done_{};
};

/// Waiting for the answer of a request, which on a server's thread is an edge of the wait graph.
class RequestWait {
 public:
  /// Does not publish anything yet.
  RequestWait(Request& request, WaitKind kind, const CallSite& site) noexcept
      : request_{request}, kind_{kind}, site_{site} {}
  ~RequestWait() { end(); }
  RequestWait(const RequestWait&) = delete;
  RequestWait& operator=(const RequestWait&) = delete;

  /// Publishes the edge; before the request is sent, if it is a call.
  ///
  /// Throws: Deadlock; SelfWait if the calling handler is that of the server that has to answer.
  void begin();
  /// Takes the edge back.
  void end() noexcept;

  /// Blocks: until the answer is there, the deadline, or an exit signal for the server that waits.
  Waited until(Deadline deadline) noexcept;

 private:
  Request& request_;
  const WaitKind kind_;
  const CallSite site_;
  CallerEdge edge_{};
};

/// A request for an `R`.
template <class R>
class RequestFor final : public Request {
 public:
  using Request::Request;

  /// Runs `handler()` and answers with what it returns or throws.
  ///
  /// Throws: Exit, and what the handler throws if that is to crash; it is not answered then.
  template <class Handler>
  void answer_with(Handler&& handler, OnException on_exception);

  /// Answers. Returns false if it was answered or given up before.
  template <class... Value>
  bool answer(Value&&... value);

  /// Returns the result of a request that is done, moved out.
  ///
  /// Throws: what the handler threw; ServerGone, MailboxFull, NoReply.
  R take(WaitKind kind, const CallSite& site);

 private:
  void store(std::exception_ptr error) noexcept override {
    outcome_.set_exception(std::move(error));
  }
  void store(const Refusal& refusal) noexcept override { outcome_.set_refusal(refusal); }

  Outcome<R> outcome_{};
};

/// Runs `function()`. Returns what it threw, unless `on_exception` says to let that through.
///
/// The exception is returned outside of the catch block, so that nothing here holds on to it
/// when another thread gets it.
/// Throws: Exit; whatever it is if that is to crash; the unwinding of a thread that is being ended.
template <class Function>
std::exception_ptr capture(Function&& function,
                           OnException on_exception = OnException::reply) {
  try {
    function();
    return nullptr;
  } catch (Exit&) {
    throw;
  } catch (...) {
    std::exception_ptr error = std::current_exception();
    // Null: no exception, but the end of the thread.
    if (error == nullptr || on_exception == OnException::crash) throw;
    if (const Running* const running = Running::now()) {
      running->server.record().meter().count_exception();
    }
    return error;
  }
}

inline void RequestBook::add(Request& request) {
  const std::scoped_lock lock{mutex_};
  open_.insert(&request);
}

inline void RequestBook::remove(Request& request) noexcept {
  const std::scoped_lock lock{mutex_};
  open_.erase(&request);
}

inline void RequestBook::close(const ExitReason& reason) noexcept {
  const std::scoped_lock lock{mutex_};
  end_ = reason;
}

inline Refusal RequestBook::meaning_of_dropped() const {
  const std::scoped_lock lock{mutex_};
  if (end_) return {Refusal::Kind::gone, *end_};
  return {Refusal::Kind::no_reply, ExitReason::normal()};
}

inline void RequestBook::refuse_all() {
  const Refusal refusal = meaning_of_dropped();
  for (;;) {  // one by one, so that no memory is needed
    std::shared_ptr<Request> request;
    {
      const std::scoped_lock lock{mutex_};
      if (open_.empty()) return;
      // Its Reply removes it before it lets go of it, so it is there as long as it is listed.
      request = (*open_.begin())->shared_from_this();
      open_.erase(open_.begin());
    }
    request->refuse(refusal);
  }
}

inline bool Request::begin(std::uint64_t message) {
  const std::scoped_lock lock{mutex_};
  message_ = message;
  if (is_settled_) return false;
  phase_ = CallPhase::running;
  return true;
}

inline void Request::end_of_handler() {
  {
    const std::scoped_lock lock{mutex_};
    if (is_settled_) return;
    phase_ = CallPhase::parked;
    if (!is_dropped_) {
      ++rounds_;
      book_.add(*this);
      is_in_book_ = true;
      return;
    }
  }
  drop();
}

inline void Request::drop() {
  {
    const std::scoped_lock lock{mutex_};
    is_dropped_ = true;
    if (phase_ == CallPhase::running && !is_settled_) return;
  }
  refuse(book_.meaning_of_dropped());
}

inline bool Request::claim() {
  WaitToken waiter;
  {
    const std::scoped_lock lock{mutex_};
    if (is_in_book_) book_.remove(*this);
    is_in_book_ = false;
    if (is_settled_) return false;
    is_settled_ = true;
    waiter = std::exchange(waiter_, WaitToken{});
  }
  waiter.end();
  return true;
}

inline bool Request::fail(std::exception_ptr error) {
  if (!claim()) return false;
  store(std::move(error));
  trace_reply(true);
  publish();
  return true;
}

inline void Request::emit_reply(bool has_failed) noexcept {
  TraceEvent event;
  event.kind = TraceEvent::Kind::replied;
  event.site = site_;
  event.message = message_;  // who has claimed the request is alone with it
  event.has_failed = has_failed;
  Tracer::instance().emit(event, *server_);
}

inline bool Request::refuse(const Refusal& refusal) {
  if (!claim()) return false;
  store(refusal);
  publish();
  return true;
}

inline void RequestWait::begin() {
  if (request_.is_done()) return;
  request_.server().check_not_forked(site_);
  if (request_.server().is_self()) {
    request_.server().raise_self_wait("the server would wait for its own answer", site_);
  }
  if (Running::now() == nullptr) return;
  {
    const std::scoped_lock lock{request_.mutex_};
    // Under the lock, so that whoever answers finds the edge and ends it first.
    if (request_.is_settled_ || request_.is_detached_) return;
    edge_.begin(request_.server(), kind_, site_);
    request_.waiter_ = edge_.token();
  }
  edge_.check();
}

inline void RequestWait::end() noexcept {
  if (edge_.token().waiter == nullptr) return;
  edge_.token().end();
  const std::scoped_lock lock{request_.mutex_};
  request_.waiter_ = WaitToken{};
}

inline Waited RequestWait::until(Deadline deadline) noexcept {
  return request_.server().await_interruptibly(request_.done_, kind_, site_, deadline);
}

inline std::optional<CallPhase> Request::give_up() {
  {
    const std::scoped_lock lock{mutex_};
    if (!is_settled_) {
      is_settled_ = true;
      return phase_;
    }
  }
  done_.sleep(Deadline::never());  // somebody has claimed it and is about to set it
  return std::nullopt;
}

inline bool Request::leave_when_allowed() {
  for (;;) {
    {
      const std::scoped_lock lock{mutex_};
      if (!is_settled_ && phase_ != CallPhase::running) {
        is_settled_ = true;
        return true;
      }
    }
    // Nobody tells that the handler has left the answer for later; so look again.
    if (done_.sleep(Deadline::after(std::chrono::milliseconds{1}))) return false;
  }
}

inline void Request::detach() {
  WaitToken waiter;
  {
    const std::scoped_lock lock{mutex_};
    is_detached_ = true;
    waiter = std::exchange(waiter_, WaitToken{});
  }
  waiter.end();
}

inline void Request::set_label(std::string label) {
  const std::scoped_lock lock{mutex_};
  label_.swap(label);
}

inline std::string Request::label() const {
  const std::scoped_lock lock{mutex_};
  return label_;
}

inline unsigned Request::rounds() const {
  const std::scoped_lock lock{mutex_};
  return rounds_;
}

inline void Request::raise_timeout(CallPhase phase) const {
  server_->record().meter().count_timed_out();
  std::string text = server_->describe(WaitKind::call, site_);
  text += std::string{" timed out; it was "} + to_string(phase);
  if (phase == CallPhase::queued || phase == CallPhase::not_sent) text += " and will never run";
  if (const std::string label = this->label(); !label.empty()) text += ", label: " + label;
  if (const unsigned rounds = this->rounds(); rounds > 0) {
    text += fmt::format(", parked {} time{}", rounds, rounds == 1 ? "" : "s");
  }
  throw CallTimeout{text, phase};
}

template <class R>
template <class Handler>
void RequestFor<R>::answer_with(Handler&& handler, OnException on_exception) {
  std::exception_ptr error;
  if constexpr (std::is_void_v<R>) {
    error = capture(handler, on_exception);
    if (!error) answer();
  } else {
    std::optional<R> value;
    error = capture([&] { value.emplace(handler()); }, on_exception);
    if (!error) answer(std::move(*value));
  }
  if (error) fail(std::move(error));
}

template <class R>
template <class... Value>
bool RequestFor<R>::answer(Value&&... value) {
  if (!claim()) return false;
  std::exception_ptr error;
  try {
    outcome_.emplace_result_of([&]() -> R { return R(std::forward<Value>(value)...); });
  } catch (...) {
    error = std::current_exception();
    if (error == nullptr) {  // the thread ends in R's constructor
      store(Refusal{Refusal::Kind::no_reply, ExitReason::normal()});
      publish();
      throw;
    }
  }
  trace_reply(error != nullptr);
  if (error) store(std::move(error));
  publish();
  return true;
}

template <class R>
R RequestFor<R>::take(WaitKind kind, const CallSite& site) {
  if (outcome_.is_refusal()) server().raise(outcome_.refusal(), kind, site, label());
  return outcome_.take();
}

}  // namespace genserver::v0
