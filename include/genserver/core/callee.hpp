// SPDX-License-Identifier: BSL-1.0
// A server as those see it who wait for it.
#pragma once

#include <genserver/base/message.hpp>
#include <genserver/base/options.hpp>
#include <genserver/base/report.hpp>
#include <genserver/core/directory.hpp>
#include <genserver/core/interrupts.hpp>
#include <genserver/core/running.hpp>
#include <genserver/sync/one_shot.hpp>
#include <genserver/sync/platform/process.hpp>
#include <genserver/sync/spin_governor.hpp>
#include <genserver/sync/yield_governor.hpp>

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace genserver::inline v0 {

/// The part of a server that its callers, its replies and the errors about it need: who it is,
/// how one waits for it, and how one is told that it said no.
///
/// Lock order of the whole library, outermost first: a request's mutex; the confirmation mutex of
/// the wait graph; a timer queue's mutex; a server's request book; the tracer's mutex; the
/// directory's mutex; a record's mutex; the sink's mutex; the mailbox's mutex. No user code runs
/// under any of them.
///
/// Threads: any.
class Callee {
 public:
  explicit Callee(const Options& options);
  ~Callee() { Directory::instance().release(record_); }
  Callee(const Callee&) = delete;
  Callee& operator=(const Callee&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return identity_.name; }
  [[nodiscard]] Pid pid() const noexcept { return identity_.pid; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] ServerRecord& record() const noexcept { return record_; }
  /// Returns whether it takes no more messages.
  [[nodiscard]] bool is_closed() const noexcept { return mailbox_.is_closed(); }

  /// Returns whether the calling thread runs this server's handler right now.
  [[nodiscard]] bool is_self() const noexcept;

  /// Waits for `done`, which this server is going to set.
  ///
  /// Blocks: until then, or the deadline; returns false if that came first. After half of
  ///         Options::stuck_after the watchdog is told.
  bool await(OneShot& done, WaitKind kind, const CallSite& site, Deadline deadline) noexcept {
    return spin(done) || await_asleep(done, kind, site, deadline);
  }
  /// The same without a spin.
  bool await_asleep(OneShot& done, WaitKind kind, const CallSite& site,
                    Deadline deadline) noexcept {
    return await(done, kind, site, deadline, nullptr) == Waited::done;
  }
  /// The same, but also ends with an exit signal for the server whose handler waits.
  Waited await_interruptibly(OneShot& done, WaitKind kind, const CallSite& site,
                             Deadline deadline) noexcept {
    if (spin(done)) return Waited::done;
    const Running* const running = Running::now();
    return await(done, kind, site, deadline,
                 running != nullptr ? &running->server.interrupts() : nullptr);
  }

  /// Returns the exit signals that this server gets.
  [[nodiscard]] Interrupts& interrupts() noexcept { return interrupts_; }

  /// Throws what `refusal` means to who asked at `site`; `label` is that of its reply.
  [[noreturn]] void raise(const Refusal& refusal, WaitKind kind, const CallSite& site,
                          const std::string& label = {}) const;
  [[noreturn]] void raise_self_wait(std::string_view what, const CallSite& site) const;

  /// Throws: Forked in a child of fork(), where no server runs.
  void check_not_forked(const CallSite& site) const;

  /// Returns "call to counter:1 at main.cpp:12 in main".
  [[nodiscard]] std::string describe(WaitKind kind, const CallSite& site) const;

 protected:
  [[nodiscard]] Mailbox& mailbox() noexcept { return mailbox_; }

  /// Spins for something that this server does, unless that keeps the server from running. One who
  /// is alone on its processor goes to sleep: the system lets a thread that is woken come first. Of
  /// several, each would cost the server a system call, and the processor; they yield instead.
  ///
  /// Blocks: never sleeps. Returns whether it is done; `between` as for a SpinGovernor.
  template <class Done>
  bool spin_until(Done&& done, unsigned between = 1);

 private:
  bool spin(OneShot& done) noexcept {
    return spin_until([&done] { return done.is_set(); });
  }
  static const Options& checked(const Options& options);
  Waited await(OneShot& done, WaitKind kind, const CallSite& site, Deadline deadline,
               Interrupts* interrupts) noexcept;

  const Options options_;
  Mailbox mailbox_;  // before the record, which shows it
  const ServerIdentity identity_;
  ServerRecord& record_;
  SpinGovernor governor_{};                 // for all who wait for this server
  std::atomic<std::uint32_t> spinning_{0};  // relaxed: a number that publishes nothing
  Interrupts interrupts_{};
};

/// Tells the watchdog of a wait for `server`, if it takes long.
///
/// Threads: the one that waits.
class LongWaitScope {
 public:
  LongWaitScope(const Callee& server, WaitKind kind, const CallSite& site) noexcept
      : server_{server}, kind_{kind}, site_{site} {}
  ~LongWaitScope();
  LongWaitScope(const LongWaitScope&) = delete;
  LongWaitScope& operator=(const LongWaitScope&) = delete;

  /// Returns when the wait began, as far as anybody has asked: with the first call.
  Deadline::Clock::time_point since() noexcept;
  /// Returns when tell() is due: half of Options::stuck_after after since().
  Deadline tell_at() noexcept;
  /// Tells the watchdog, once.
  void tell() noexcept;
  void tell_if_long() noexcept {
    if (!is_told_ && tell_at().has_passed()) tell();
  }

 private:
  const Callee& server_;
  const WaitKind kind_;
  const CallSite site_;
  LongWait wait_{};
  bool is_told_ = false;
};

inline Callee::Callee(const Options& options)
    : options_{checked(options)},
      mailbox_{options_.mailbox_capacity, options_.on_full == OnFull::drop_oldest},
      identity_{options_.name, Directory::next_pid(), options_.stuck_after, &mailbox_},
      record_{Directory::instance().acquire(identity_)} {
  if (options_.run_calls == RunCalls::on_caller_when_idle) mailbox_.set_lease(record_.lease());
}

inline const Options& Callee::checked(const Options& options) {
  if (is_forked_child()) throw Forked{"a server cannot be started in a child made by fork()"};
  validate(options);
  return options;
}

inline bool Callee::is_self() const noexcept {
  const Running* const running = Running::now();
  return running != nullptr && &running->server == this;
}

template <class Done>
bool Callee::spin_until(Done&& done, unsigned between) {
  struct Counted {  // who has waited for a moment
    std::atomic<std::uint32_t>* count = nullptr;
    ~Counted() {
      if (count != nullptr) count->fetch_sub(1, std::memory_order_relaxed);
    }
  } counted;
  const auto is_in_vain = [&] {
    if (counted.count == nullptr) {
      counted.count = &spinning_;
      spinning_.fetch_add(1, std::memory_order_relaxed);
    }
    if (!record_.is_on_this_cpu()) return false;
    YieldGovernor& yielding = YieldGovernor::of_callers();
    if (spinning_.load(std::memory_order_relaxed) == 1 || !yielding.may_yield()) return true;
    if (YieldGovernor::yield() || done()) return false;
    yielding.rest();
    return true;
  };
  return governor_.spin_until(done, between, is_in_vain);
}

inline Waited Callee::await(OneShot& done, WaitKind kind, const CallSite& site, Deadline deadline,
                            Interrupts* interrupts) noexcept {
  LongWaitScope watched{*this, kind, site};
  if (const Running* const running = Running::now()) {
    ServerRecord& waiter = running->server.record();
    waiter.set_wait_since(watched.since());
    waiter.meter().measure_next();
  }
  const auto sleep = [&](Deadline until) {
    if (interrupts != nullptr) return interrupts->sleep(done, until);
    return done.sleep(until) ? Waited::done : Waited::late;
  };
  const Waited first = sleep(deadline.or_earlier(watched.tell_at()));
  if (first != Waited::late) return first;
  if (deadline.has_passed()) return done.is_set() ? Waited::done : Waited::late;
  watched.tell();
  return sleep(deadline);
}

inline LongWaitScope::~LongWaitScope() {
  if (!is_told_) return;
  server_.record().with_long_waits(
      [&](std::vector<LongWait*>& waits) { std::erase(waits, &wait_); });
}

inline Deadline LongWaitScope::tell_at() noexcept {
  const auto stuck_after = server_.options().stuck_after;
  if (stuck_after.count() == 0) return Deadline::never();
  return Deadline{since() + stuck_after / 2};
}

inline Deadline::Clock::time_point LongWaitScope::since() noexcept {
  if (wait_.since == Deadline::Clock::time_point{}) wait_.since = Deadline::Clock::now();
  return wait_.since;
}

inline void LongWaitScope::tell() noexcept {
  if (is_told_) return;
  try {
    wait_.caller = {"a thread", Pid{}, kind_, site_, {}};
    if (const Running* const running = Running::now()) {
      wait_.caller.name = running->server.name();
      wait_.caller.pid = running->server.pid();
    }
    wait_.next_report = server_.options().stuck_after;
    server_.record().with_long_waits(
        [&](std::vector<LongWait*>& waits) { waits.push_back(&wait_); });
    is_told_ = true;
  } catch (...) {  // out of memory: then the watchdog does not know of this wait
  }
}

inline std::string Callee::describe(WaitKind kind, const CallSite& site) const {
  return fmt::format("{} to {}:{} at {}", to_string(kind), name(), pid().value(),
                     to_string(site));
}

inline void Callee::raise(const Refusal& refusal, WaitKind kind, const CallSite& site,
                          const std::string& label) const {
  const std::string what = describe(kind, site);
  if (refusal.kind == Refusal::Kind::mailbox_full) {
    throw MailboxFull{fmt::format("{}: its mailbox of {} is full", what,
                                  options_.mailbox_capacity)};
  }
  if (refusal.kind == Refusal::Kind::no_reply) {
    throw NoReply{what + ": the reply was aborted or dropped" +
                  (label.empty() ? "" : ", label: " + label)};
  }
  const ServerGone gone{what + ": the server has ended: " + refusal.reason.what(),
                        refusal.reason};
  if (const std::exception_ptr cause = refusal.reason.cause()) {
    try {
      std::rethrow_exception(cause);
    } catch (...) {
      std::throw_with_nested(gone);
    }
  }
  throw gone;
}

inline void Callee::raise_self_wait(std::string_view what, const CallSite& site) const {
  throw SelfWait{fmt::format("{}:{} at {}: {}", name(), pid().value(), to_string(site), what)};
}

inline void Callee::check_not_forked(const CallSite& site) const {
  if (!is_forked_child()) [[likely]] return;
  throw Forked{fmt::format("{}:{} was used at {} in a child made by fork(); its thread is not here",
                           name(), pid().value(), to_string(site))};
}

}  // namespace genserver::v0
