// SPDX-License-Identifier: BSL-1.0
// The list of all servers of the process.
#pragma once

#include <genserver/core/server_record.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// All records of the process.
///
/// Threads: any. Never destroyed.
class Directory {
 public:
  [[gnu::visibility("default")]] static Directory& instance() {
    static Directory& directory = *new Directory;
    return directory;
  }

  /// Returns a record for a new server; `identity` stays where it is until release().
  ServerRecord& acquire(const ServerIdentity& identity);
  void release(ServerRecord& record) noexcept;

  /// Returns the record with this index, which some record's wait word names.
  ServerRecord& at(std::uint32_t index) noexcept;

  /// Returns the name of the server whose pid has these lowest bits, or an empty one and no pid;
  /// for reports. Cost: a look at every record.
  std::pair<std::string, Pid> find(std::uint32_t pid_bits);

  /// Sets the flag for all servers, those that come later included; with `keeps(pid)` it stays set.
  template <class Keeps>
  void set_all_traced(bool is_so, Keeps&& keeps);

  /// Calls `use(ServerRecord&)` for every record ever made; some have no server.
  template <class Use>
  void for_each(Use&& use);

  [[gnu::visibility("default")]] static Pid next_pid() noexcept {
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
  bool traces_all_ = false;              // guarded by mutex_, with the flags that it stands for
};

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
    record->set_traced(traces_all_);
  }
  record->is_over_.store(false, std::memory_order_seq_cst);  // as wait_
  record->set_life(ServerRecord::Life::starting);
  record->clear_orders();
  record->clear_threads();
  record->meter().reset();
  record->lease().reset();
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

inline std::pair<std::string, Pid> Directory::find(std::uint32_t pid_bits) {
  std::pair<std::string, Pid> found;
  if (pid_bits == 0) return found;
  for_each([&](ServerRecord& record) {
    record.with_identity([&](const ServerIdentity& identity) {
      if (static_cast<std::uint32_t>(identity.pid.value()) != pid_bits) return;
      found = {identity.name, identity.pid};
    });
  });
  return found;
}

template <class Keeps>
void Directory::set_all_traced(bool is_so, Keeps&& keeps) {
  const std::scoped_lock lock{mutex_};
  traces_all_ = is_so;
  for_each([&](ServerRecord& record) {
    const bool is_used = record.with_identity([&](const ServerIdentity& identity) {
      record.set_traced(is_so || keeps(identity.pid));
    });
    if (!is_used) record.set_traced(is_so);  // it may be about to be
  });
}

}  // namespace genserver::v0
