// SPDX-License-Identifier: BSL-1.0
// Who waits for whom, and whether that closes a circle.
#pragma once

#include <genserver/core/directory.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// Names one wait of one server, so that who ends the wait can take its edge away.
struct WaitToken {
  ServerRecord* waiter = nullptr;
  std::uint64_t word = 0;

  /// Takes the edge away. Called by who answers, before the answer can be seen, so that an edge
  /// never outlives what it waits for. Does nothing if the waiting one has given up already.
  void end() const noexcept;
};

/// "This server waits for that one", from begin() to its own end or that of the wait.
///
/// A server waits for one thing at a time, so each has one 64-bit word: the sequence number of
/// the wait, the target's index, and whether it waits. The edge is published first, and then the
/// graph is walked: of the edges of a circle one comes last in the single order of all sequentially
/// consistent operations, and that one's walk sees all the others. So no circle is missed, and with
/// acquire and release instead one would be, sooner or later.
///
/// A walk that comes back to its beginning has found a candidate. Under the graph's mutex it is
/// read twice; if no word has changed, all edges existed together at the moment between. An edge
/// ends before its answer is delivered, so nobody in a confirmed circle can move: no false alarm.
///
/// Source: Chandy, Misra and Haas, "Distributed Deadlock Detection", ACM TOCS 1(2), 1983, for
///         the single-resource model; Brent, "An improved Monte Carlo factorization algorithm",
///         BIT 20, 1980, for walking into a circle that one is not part of.
class Waiting {
 public:
  /// One member of a circle, and who runs it.
  struct Member {
    WaitEdge edge{};
    ServerRecord* record = nullptr;
    std::uint64_t word = 0;  // see below
  };

  Waiting() noexcept = default;
  ~Waiting() { token_.end(); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  /// Publishes the edge, once. Threads: who runs `waiter`.
  void begin(ServerRecord& waiter, ServerRecord& target, WaitKind kind,
             const CallSite& site) noexcept;

  /// Returns what ends the edge; of an edge that was not published, what ends nothing.
  [[nodiscard]] WaitToken token() const noexcept { return token_; }

  /// Returns whether it is published, and neither ended nor replaced by a later wait's.
  [[nodiscard]] bool is_there() const noexcept {
    return token_.waiter != nullptr &&
           token_.waiter->wait_.load(std::memory_order_seq_cst) == token_.word;  // as below
  }

  /// Returns the circle that this edge closes, beginning with it, or nothing. With `withdraws`
  /// the edge is taken back in the same step, so that of several servers that close one circle at
  /// the same time exactly one finds it.
  ///
  /// Cost: one load per edge followed; a mutex only if there is a circle.
  std::optional<std::vector<Member>> find_cycle(bool withdraws);

  /// Returns whether a circle is to be reported that find_cycle() has found and not withdrawn: it
  /// is not if it was before, by another member that closed it at the same time, or by this one in
  /// an earlier attempt at the same. So it is if all its waits are new, or one is elsewhere.
  [[nodiscard]] static bool is_first_to_report(const std::vector<Member>& cycle);

  /// Returns the edge by which the server of `record` waits now, if it does; for reports.
  static std::optional<WaitEdge> current(const ServerRecord& record);

 private:
  [[nodiscard]] bool leads_back() const noexcept;
  [[nodiscard]] bool collect(std::vector<std::uint64_t>& words) const;
  [[nodiscard]] std::vector<Member> members(const std::vector<std::uint64_t>& words) const;
  static WaitEdge edge_of(const ServerRecord& waiter, const ServerRecord& target);

  WaitToken token_{};
};

namespace detail {

// The word: bit 0 waits, 1 to 24 the target's index, 25 to 63 the sequence number, which only
// grows, also when the record goes to another server: so no word ever comes back.
inline constexpr std::uint64_t waits = 1;
inline constexpr std::uint64_t target_bits = ((std::uint64_t{1} << 24) - 1) << 1;
inline constexpr std::uint64_t one_wait = std::uint64_t{1} << 25;

inline ServerRecord& target_of(std::uint64_t word) noexcept {
  return Directory::instance().at(static_cast<std::uint32_t>((word & target_bits) >> 1));
}

/// Taken to confirm a circle, so that only one of its members finds it.
[[gnu::visibility("default")]] inline std::mutex& confirmation_mutex() {
  static std::mutex& mutex = *new std::mutex;  // never destroyed: servers may outlive statics
  return mutex;
}

}  // namespace detail

// All operations on wait_ are sequentially consistent: the argument above needs the one order.

inline void WaitToken::end() const noexcept {
  if (waiter == nullptr) return;
  std::uint64_t expected = word;
  waiter->wait_.compare_exchange_strong(expected, word & ~detail::waits,
                                        std::memory_order_seq_cst);  // with publish and walk
}

inline void Waiting::begin(ServerRecord& waiter, ServerRecord& target, WaitKind kind,
                           const CallSite& site) noexcept {
  // Relaxed: between waits only who runs the server changes the word.
  const std::uint64_t before = waiter.wait_.load(std::memory_order_relaxed);
  const std::uint64_t sequence = (before & ~(detail::one_wait - 1)) + detail::one_wait;
  waiter.wait_kind_.store(kind, std::memory_order_release);  // as SharedCallSite's P1
  waiter.wait_site_.store(site);
  waiter.wait_since_.store(0, std::memory_order_release);  // as SharedCallSite's P1
  token_ = {&waiter, sequence | (std::uint64_t{target.index()} << 1) | detail::waits};
  waiter.wait_.store(token_.word, std::memory_order_seq_cst);  // publish, then walk
}

inline std::optional<std::vector<Waiting::Member>> Waiting::find_cycle(bool withdraws) {
  if (!leads_back()) return std::nullopt;
  const std::scoped_lock lock{detail::confirmation_mutex()};
  for (;;) {
    std::vector<std::uint64_t> first;
    std::vector<std::uint64_t> second;
    if (!collect(first) || !collect(second)) return std::nullopt;
    if (first != second) continue;
    std::vector<Member> found = members(first);
    if (found.empty()) return std::nullopt;
    if (!collect(second) || first != second) continue;  // the sites belong to these words
    if (withdraws) token_.end();
    return found;
  }
}

inline bool Waiting::is_first_to_report(const std::vector<Member>& cycle) {
  const std::scoped_lock lock{detail::confirmation_mutex()};
  bool is_known = false;
  bool is_elsewhere = false;
  for (const Member& member : cycle) {
    const ReportedWait wait{member.word, member.edge.waiter_pid, member.edge.target_pid,
                            member.edge.site};
    const ReportedWait last = std::exchange(member.record->reported_wait_, wait);
    is_known = is_known || last.word == wait.word;
    is_elsewhere = is_elsewhere || !last.is_at_place_of(wait);
  }
  return !is_known || is_elsewhere;
}

/// Follows the edges from the target on; no lock, and Brent's tortoise to end in foreign circles.
inline bool Waiting::leads_back() const noexcept {
  const ServerRecord* current = &detail::target_of(token_.word);
  const ServerRecord* tortoise = current;
  std::uint64_t steps = 0;
  std::uint64_t limit = 2;
  while (current != token_.waiter) {
    const std::uint64_t word = current->wait_.load(std::memory_order_seq_cst);  // the walk
    if ((word & detail::waits) == 0) return false;
    current = &detail::target_of(word);
    if (current == tortoise) return current == token_.waiter;
    if (++steps == limit) {
      tortoise = current;
      steps = 0;
      limit *= 2;
    }
  }
  return true;
}

/// Reads the words along the circle, beginning with this edge; false if there is none.
inline bool Waiting::collect(std::vector<std::uint64_t>& words) const {
  words.clear();
  const ServerRecord* current = token_.waiter;
  do {
    const std::uint64_t word = current->wait_.load(std::memory_order_seq_cst);  // the walk
    if ((word & detail::waits) == 0) return false;
    words.push_back(word);
    if (words.front() != token_.word) return false;  // somebody has answered this one
    const std::size_t last = words.size() - 1;
    if (last > 0 && words[last] == words[last / 2]) return false;  // a circle of others
    current = &detail::target_of(word);
  } while (current != token_.waiter);
  return true;
}

/// Puts names to the words. Empty if one waits for room although there is some, or for an end that
/// is over: it will go on.
inline std::vector<Waiting::Member> Waiting::members(
    const std::vector<std::uint64_t>& words) const {
  std::vector<Member> found;
  ServerRecord* waiter = token_.waiter;
  for (const std::uint64_t word : words) {
    ServerRecord& target = detail::target_of(word);
    Member member{edge_of(*waiter, target), waiter, word};
    bool goes_on = member.edge.kind == WaitKind::stop &&
                   target.is_over_.load(std::memory_order_seq_cst);  // as the walk
    target.with_identity([&](const ServerIdentity& identity) {
      if (member.edge.kind == WaitKind::room) goes_on = !identity.mailbox->is_full();
    });
    if (goes_on) return {};
    found.push_back(std::move(member));
    waiter = &target;
  }
  return found;
}

/// Puts names to an edge; it is for the caller to see that the word stands still meanwhile.
inline WaitEdge Waiting::edge_of(const ServerRecord& waiter, const ServerRecord& target) {
  WaitEdge edge;
  edge.kind = waiter.wait_kind_.load(std::memory_order_acquire);  // as SharedCallSite's P1
  edge.site = waiter.wait_site_.load();
  const auto since = waiter.wait_since_.load(std::memory_order_acquire);  // as SharedCallSite's P1
  using Clock = std::chrono::steady_clock;
  if (since != 0) edge.age = Clock::now() - Clock::time_point{Clock::duration{since}};
  waiter.with_identity([&](const ServerIdentity& identity) {
    edge.waiter = identity.name;
    edge.waiter_pid = identity.pid;
  });
  target.with_identity([&](const ServerIdentity& identity) {
    edge.target = identity.name;
    edge.target_pid = identity.pid;
  });
  return edge;
}

inline std::optional<WaitEdge> Waiting::current(const ServerRecord& record) {
  for (;;) {  // until the word stood still around the rest
    const std::uint64_t word = record.wait_.load(std::memory_order_seq_cst);
    if ((word & detail::waits) == 0) return std::nullopt;
    WaitEdge edge = edge_of(record, detail::target_of(word));
    if (record.wait_.load(std::memory_order_seq_cst) == word) return edge;  // as the walk
  }
}

}  // namespace genserver::v0
