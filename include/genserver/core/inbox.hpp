// SPDX-License-Identifier: BSL-1.0
// How messages get into a server: admission, and waking who runs it.
#pragma once

#include <genserver/core/callee.hpp>
#include <genserver/core/caller_edge.hpp>
#include <genserver/core/handler_wait.hpp>
#include <genserver/core/timer.hpp>
#include <genserver/core/tracer.hpp>
#include <genserver/sync/parker.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

namespace genserver::inline v0 {

/// What became of a message that takes a place in the mailbox.
enum class Admission {
  accepted,
  gone,  ///< The server takes no more.
  full,  ///< Its policy refuses it.
  late   ///< There was no room until the deadline.
};

/// The sending side of a server.
///
/// Threads: any.
class Inbox : public Callee {
 public:
  using Callee::Callee;

  /// Sends a message that takes no place: a call, whose caller waits in its own frame, or one of
  /// the server to itself. Returns false if the server takes no more; it is still the caller's.
  bool post(Message& message) noexcept;

  /// Sends a message that takes a place, unless the server sends it to itself. Never waits. Unless
  /// accepted, the message is still the caller's.
  Admission try_post(Message& message) noexcept;

  /// Does what Options::on_full says, after a message from `site` found the mailbox full. Returns
  /// accepted if try_post() is to be called again.
  ///
  /// Blocks: with OnFull::block, while the mailbox is full, until the deadline.
  /// Throws: Deadlock, if a server would wait for room and none can ever come.
  Admission make_room(Deadline deadline, const CallSite& site);

  /// Arms a timer. On a server that has ended, the timer has ended too.
  void arm(const std::shared_ptr<TimerMessage>& timer, Deadline due) {
    if (Tracer::is_sink_running()) Tracer::hide(*timer);
    Parker& parker = this->parker();  // what the timer runs may end the server meanwhile
    if (timers_.arm(timer, due.when())) parker.unpark();
  }

  [[nodiscard]] TimerQueue& timers() noexcept { return timers_; }

 protected:
  ~Inbox() = default;

  /// Where the server's thread sleeps. It outlives the server: who has sent a message may have to
  /// wake that thread when the message has been handled already, and has ended the server.
  [[nodiscard]] Parker& parker() noexcept { return record().parker(); }
  /// As post(), for who wakes the runner himself.
  Mailbox::Push push(Message& message) noexcept {
    mark(message);
    return mailbox().push(message, false);
  }
  /// Reports what was refused or dropped and not reported yet.
  void report_refused(const CallSite& site);

 private:
  void mark(Message& message) noexcept;
  void trace_sent(Message& message) noexcept;
  Admission wait_for_room(Deadline deadline, const CallSite& site);
  void report_sometimes(const CallSite& site);

  TimerQueue timers_{};

  // Relaxed: numbers and a time that publish nothing.
  std::atomic<std::uint64_t> refused_{0};  // since the last report
  std::atomic<Deadline::Clock::rep> next_report_{0};
};

/// Writes down who sends a message, and sometimes when, before it is pushed; tells the tracer, if
/// there is one.
inline void Inbox::mark(Message& message) noexcept {
  if (message.link().sent_at != 0) return;  // again, after it found no room
  ServerMeter::stamp(message, mailbox().is_idle());
  if (const Running* const running = Running::now()) message.set_sender(running->server.pid());
  if (record().is_traced()) [[unlikely]] trace_sent(message);
}

inline void Inbox::trace_sent(Message& message) noexcept {
  if (message.link().sent_at == 0) ServerMeter::stamp(message, std::uint32_t{0});
  Tracer::instance().emit(TraceEvent::Kind::sent, *this, message, Tracer::id_of(message), false);
}

inline bool Inbox::post(Message& message) noexcept {
  Parker& parker = this->parker();
  const Mailbox::Push result = push(message);
  if (result == Mailbox::Push::wake) parker.unpark();
  return result != Mailbox::Push::closed;
}

inline Admission Inbox::try_post(Message& message) noexcept {
  mark(message);
  Parker& parker = this->parker();
  switch (mailbox().push(message, !is_self())) {
    case Mailbox::Push::queued: return Admission::accepted;
    case Mailbox::Push::wake: parker.unpark(); return Admission::accepted;
    case Mailbox::Push::closed: return Admission::gone;
    case Mailbox::Push::full: break;
  }
  return Admission::full;
}

inline Admission Inbox::make_room(Deadline deadline, const CallSite& site) {
  switch (options().on_full) {
    case OnFull::block: return wait_for_room(deadline, site);
    case OnFull::drop_oldest:
      if (Message* const oldest = mailbox().evict_oldest()) {
        record().meter().count_dropped();
        oldest->refuse({Refusal::Kind::mailbox_full, ExitReason::normal()});
        report_sometimes(site);
      }
      return Admission::accepted;
    case OnFull::fail:
    case OnFull::drop_newest: break;
  }
  record().meter().count_refused();
  report_sometimes(site);
  return Admission::full;
}

inline Admission Inbox::wait_for_room(Deadline deadline, const CallSite& site) {
  LongWaitScope watched{*this, WaitKind::room, site};
  // Twice as long each time, up to a limit: a crowd of senders that look takes the runner's time.
  constexpr std::chrono::nanoseconds longest_look = 32 * Mailbox::shortest_look;
  std::chrono::nanoseconds look = Mailbox::shortest_look;
  while (mailbox().is_full() && !is_closed()) {
    // A sink may be called where an edge is published already, which a second one would overwrite.
    if (deadline.has_passed() || Tracer::is_sink_running()) return Admission::late;
    check_exit();
    // A new edge each time: the room that somebody else took may have been the last.
    CallerEdge edge{*this, WaitKind::room, site};
    edge.check();
    edge.set_since(watched.since());
    watched.tell_if_long();
    mailbox().wait_for_room(deadline, look);
    look = std::min(look * 2, longest_look);
  }
  return Admission::accepted;
}

/// Counts a refused or dropped message, and reports them, at most once a second; what comes in
/// between is in the next report, the last of which comes with the server's end.
inline void Inbox::report_sometimes(const CallSite& site) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  const auto now = Deadline::Clock::now().time_since_epoch();
  auto due = next_report_.load(std::memory_order_relaxed);
  const auto next = (now + std::chrono::duration_cast<Deadline::Clock::duration>(
                               std::chrono::seconds{1})).count();
  if (now.count() < due ||
      !next_report_.compare_exchange_strong(due, next, std::memory_order_relaxed)) {
    return;
  }
  report_refused(site);
}

inline void Inbox::report_refused(const CallSite& site) {
  Report report;
  report.count = refused_.exchange(0, std::memory_order_relaxed);
  if (report.count == 0) return;
  report.kind = Report::Kind::overflow;
  report.server = name();
  report.pid = pid();
  report.site = site;
  report.mailbox_size = mailbox().size();
  report.mailbox_capacity = mailbox().capacity();
  deliver(report);
}

}  // namespace genserver::v0
