// SPDX-License-Identifier: BSL-1.0
// What others may see of every server without asking it.
#pragma once

#include <genserver/base/call_site.hpp>
#include <genserver/base/error.hpp>
#include <genserver/base/pid.hpp>
#include <genserver/base/report.hpp>
#include <genserver/sync/backtrace.hpp>
#include <genserver/sync/mailbox.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace genserver {

/// A call site that one thread changes while others read it.
///
/// A reader reads a second word before and after, which the writer changes in between, to know
/// that the parts belong together:
///   P1  store(): release ──▶ load(): acquire      who sees a new part sees that word changed
class SharedCallSite {
 public:
  void store(const CallSite& site) noexcept {
    file_.store(site.file, std::memory_order_release);          // P1
    function_.store(site.function, std::memory_order_release);  // P1
    line_.store(site.line, std::memory_order_release);          // P1
  }
  [[nodiscard]] CallSite load() const noexcept {
    return {file_.load(std::memory_order_acquire),      // P1
            function_.load(std::memory_order_acquire),  // P1
            line_.load(std::memory_order_acquire)};     // P1
  }

 private:
  std::atomic<const char*> file_{""};
  std::atomic<const char*> function_{""};
  std::atomic<unsigned> line_{0};
};

/// What does not change while a server lives.
struct ServerIdentity {
  std::string name{};
  Pid pid{};
  std::chrono::nanoseconds stuck_after{};
  const Mailbox* mailbox = nullptr;
};

/// Someone who has been waiting for a server so long that the watchdog should know; lives in the
/// frame of the waiting function.
struct LongWait {
  WaitingCaller caller{};
  std::chrono::steady_clock::time_point since{};
  std::chrono::nanoseconds next_report{};  // guarded by the record's mutex
};

/// One server as the wait graph, the watchdog and snapshots see it.
///
/// Records are type-stable: the directory reuses them, but never frees them, so that a pointer to
/// one may always be followed, whatever became of the server.
class ServerRecord {
 public:
  explicit ServerRecord(std::uint32_t index) noexcept : index_{index} {}

  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }

  /// The calling thread begins or ends to run a message sent from `site`. Only who runs the
  /// server calls them. Cost: a few plain stores.
  void begin_message(const CallSite& site) noexcept;
  void end_message() noexcept;

  /// The turn changes with every begin and end; it is odd while a handler runs.
  [[nodiscard]] std::uint64_t turn() const noexcept {
    return turn_.load(std::memory_order_acquire);  // P1
  }
  [[nodiscard]] CallSite message_site() const noexcept { return message_site_.load(); }

  /// The server's end is over: nobody waits for it any more, even if he does not know yet.
  void set_over() noexcept { is_over_.store(true, std::memory_order_seq_cst); }  // as wait_

  /// Says that the calling thread runs this server from now on.
  void set_runner(ThreadRecord& thread) noexcept;
  /// Returns the stack of the thread that runs this server. Blocks: up to a second.
  [[nodiscard]] StackTrace runner_stack() const;

  /// Calls `use(const ServerIdentity&)` under the record's lock, unless the server is gone.
  template <class Use>
  bool with_identity(Use&& use) const;

  /// Calls `use(std::vector<LongWait*>&)` under the record's lock.
  template <class Use>
  void with_long_waits(Use&& use);

 private:
  friend class Directory;
  friend class Waiting;
  friend struct WaitToken;

  const std::uint32_t index_;

  //   P1  begin_message(), end_message(): release ──▶ turn(): acquire      the message's site
  std::atomic<std::uint64_t> turn_{0};
  SharedCallSite message_site_{};
  std::atomic<ThreadRecord*> runner_{nullptr};       // relaxed: records are never freed
  std::atomic<std::uint64_t> runner_incarnation_{0};  // relaxed: a stale one is noticed

  // Used by the wait graph, which explains them.
  std::atomic<std::uint64_t> wait_{0};
  std::atomic<WaitKind> wait_kind_{WaitKind::call};
  SharedCallSite wait_site_{};
  std::atomic<bool> is_over_{false};

  mutable std::mutex mutex_{};
  const ServerIdentity* identity_ = nullptr;  // guarded by mutex_; null: no server
  std::vector<LongWait*> long_waits_{};       // guarded by mutex_
};

/// All records of the process.
///
/// Threads: any. Never destroyed.
class Directory {
 public:
  static Directory& instance() {
    static Directory& directory = *new Directory;
    return directory;
  }

  /// Returns a record for a new server; `identity` stays where it is until release().
  ServerRecord& acquire(const ServerIdentity& identity);
  void release(ServerRecord& record) noexcept;

  /// Returns the record with this index, which some record's wait word names.
  ServerRecord& at(std::uint32_t index) noexcept;

  /// Calls `use(ServerRecord&)` for every record ever made; some have no server.
  template <class Use>
  void for_each(Use&& use);

  static Pid next_pid() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return Pid{last.fetch_add(1, std::memory_order_relaxed) + 1};  // only unique
  }

 private:
  static constexpr std::uint32_t first_chunk = 64;  // Chunk k holds first_chunk << k records.
  static constexpr std::size_t chunk_count = 18;    // Together 2^24 - 64: the wait word's room.

  std::mutex mutex_{};
  std::vector<ServerRecord*> free_{};  // guarded by mutex_
  //   P1  acquire(): release ──▶ at(): acquire      the records of a new chunk
  std::array<std::atomic<ServerRecord*>, chunk_count> chunks_{};
  std::atomic<std::uint32_t> count_{0};  // changed under mutex_; P1 as well
};

inline void ServerRecord::begin_message(const CallSite& site) noexcept {
  message_site_.store(site);
  // The load is relaxed: only who runs the server writes.
  turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // P1
}

inline void ServerRecord::end_message() noexcept {
  // The load is relaxed: only who runs the server writes.
  turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // P1
}

inline void ServerRecord::set_runner(ThreadRecord& thread) noexcept {
  runner_.store(&thread, std::memory_order_relaxed);
  runner_incarnation_.store(thread.incarnation(), std::memory_order_relaxed);
}

inline StackTrace ServerRecord::runner_stack() const {
  ThreadRecord* const thread = runner_.load(std::memory_order_relaxed);
  if (thread == nullptr) return {{}, "no thread has run it yet"};
  return backtrace(*thread, runner_incarnation_.load(std::memory_order_relaxed));
}

template <class Use>
bool ServerRecord::with_identity(Use&& use) const {
  const std::scoped_lock lock{mutex_};
  if (identity_ == nullptr) return false;
  use(*identity_);
  return true;
}

template <class Use>
void ServerRecord::with_long_waits(Use&& use) {
  const std::scoped_lock lock{mutex_};
  use(long_waits_);
}

inline ServerRecord& Directory::acquire(const ServerIdentity& identity) {
  ServerRecord* record = nullptr;
  {
    const std::scoped_lock lock{mutex_};
    if (free_.empty()) {
      // Relaxed: only changed under the mutex.
      const std::uint32_t count = count_.load(std::memory_order_relaxed);
      const auto chunk = static_cast<std::size_t>(std::bit_width(count / first_chunk + 1) - 1);
      if (chunk >= chunk_count) throw StartFailed{"there are 16 million servers already"};
      const std::uint32_t size = first_chunk << chunk;
      free_.reserve(count + size);
      auto* memory = static_cast<ServerRecord*>(::operator new(
          size * sizeof(ServerRecord), std::align_val_t{alignof(ServerRecord)}));
      for (std::uint32_t i = size; i-- > 0;) {
        free_.push_back(::new (static_cast<void*>(memory + i)) ServerRecord{count + i});
      }
      chunks_[chunk].store(memory, std::memory_order_release);           // P1
      count_.store(count + size, std::memory_order_release);             // P1
    }
    record = free_.back();
    free_.pop_back();
  }
  record->is_over_.store(false, std::memory_order_seq_cst);  // as wait_
  const std::scoped_lock lock{record->mutex_};
  record->identity_ = &identity;
  return *record;
}

inline void Directory::release(ServerRecord& record) noexcept {
  {
    const std::scoped_lock lock{record.mutex_};
    record.identity_ = nullptr;
  }
  const std::scoped_lock lock{mutex_};
  free_.push_back(&record);  // has room: reserved when the chunk was made
}

inline ServerRecord& Directory::at(std::uint32_t index) noexcept {
  const auto chunk = static_cast<std::size_t>(std::bit_width(index / first_chunk + 1) - 1);
  const std::uint32_t begin = first_chunk * ((1U << chunk) - 1);
  return chunks_[chunk].load(std::memory_order_acquire)[index - begin];  // P1
}

template <class Use>
void Directory::for_each(Use&& use) {
  const std::uint32_t count = count_.load(std::memory_order_acquire);  // P1
  for (std::uint32_t i = 0; i < count; ++i) use(at(i));
}

}  // namespace genserver
