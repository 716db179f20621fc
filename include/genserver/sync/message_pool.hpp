// SPDX-License-Identifier: BSL-1.0
// The memory in which casts travel, so that they need no allocation.
#pragma once

#include <cstddef>
#include <mutex>
#include <new>
#include <utility>

namespace genserver::inline v0 {

/// Hands out blocks of 128 bytes, which one thread takes and another gives back.
///
/// Each thread keeps at most two batches of 32 blocks, and exchanges whole batches with the
/// others under a mutex (Bonwick and Adams, "Magazines and Vmem", USENIX 2001). Memory is kept
/// for later messages and never returned to the system.
///
/// Threads: any; also in destructors of thread-local objects.
/// Cost:    a few instructions; the mutex once in 32 blocks; the system's allocator only while
///          more blocks are in use than ever before.
class MessagePool {
 public:
  static constexpr std::size_t block_size = 128;
  static constexpr std::size_t block_alignment = 64;

  /// Throws: std::bad_alloc.
  static void* allocate();
  static void deallocate(void* block) noexcept;

 private:
  static constexpr std::size_t batch_size = 32;

  struct Block {
    Block* next;        // In the same batch.
    Block* next_batch;  // In the depot; only in a batch's first block.
    std::size_t count;  // Of the batch; only in a batch's first block.
  };

  struct Batch {
    Block* first = nullptr;
    std::size_t count = 0;

    void push(Block* block) noexcept {
      block->next = first;
      first = block;
      ++count;
    }
    Block* pop() noexcept {
      --count;
      return std::exchange(first, first->next);
    }
  };

  /// What no thread keeps.
  class Depot {
   public:
    [[gnu::visibility("default")]] static Depot& instance() {
      static Depot& depot = *new Depot;  // never destroyed: threads may outlive statics
      return depot;
    }
    void give(Batch batch) noexcept;
    Batch take();

   private:
    std::mutex mutex_{};
    Block* first_ = nullptr;  // guarded by mutex_
  };

  /// What one thread keeps. Constant-initialized and trivially destroyed, so that using it needs
  /// no guard; Returner empties it when the thread ends.
  struct Shelf {
    Batch current{};
    Batch spare{};
    bool is_closed = false;
  };

  struct Returner {
    Returner() noexcept = default;
    ~Returner();
    Returner(const Returner&) = delete;
    Returner& operator=(const Returner&) = delete;
  };

  static void* allocate_from_batch();
  static void make_room() noexcept;

  [[gnu::visibility("default")]] static Shelf& shelf() noexcept {
    static constinit thread_local Shelf shelf{};
    return shelf;
  }
  /// Sees to it that the shelf is emptied at the end of this thread.
  [[gnu::visibility("default")]] static void empty_at_exit() noexcept {
    static thread_local const Returner returner{};
    static_cast<void>(returner);
  }
};

inline void* MessagePool::allocate() {
  Shelf& shelf = MessagePool::shelf();
  if (shelf.current.first == nullptr) [[unlikely]] return allocate_from_batch();
  return shelf.current.pop();
}

inline void MessagePool::deallocate(void* block) noexcept {
  Shelf& shelf = MessagePool::shelf();
  if (shelf.current.count % batch_size == 0 || shelf.is_closed) [[unlikely]] make_room();
  shelf.current.push(static_cast<Block*>(block));
  if (shelf.is_closed) [[unlikely]] make_room();
}

inline void* MessagePool::allocate_from_batch() {
  Shelf& shelf = MessagePool::shelf();
  if (shelf.is_closed) {  // nothing may stay here: nobody would come for it
    Batch batch = Depot::instance().take();
    void* const block = batch.pop();
    if (batch.first != nullptr) Depot::instance().give(batch);
    return block;
  }
  empty_at_exit();
  shelf.current = shelf.spare.first != nullptr ? std::exchange(shelf.spare, Batch{})
                                               : Depot::instance().take();
  return shelf.current.pop();
}

inline void MessagePool::make_room() noexcept {
  Shelf& shelf = MessagePool::shelf();
  if (!shelf.is_closed) {
    empty_at_exit();
    if (shelf.current.first == nullptr) return;  // it only had to be said, once in a thread
  }
  if (shelf.spare.first != nullptr) Depot::instance().give(shelf.spare);
  shelf.spare = std::exchange(shelf.current, Batch{});
  if (shelf.is_closed && shelf.spare.first != nullptr) {
    Depot::instance().give(std::exchange(shelf.spare, Batch{}));
  }
}

inline MessagePool::Returner::~Returner() {
  shelf().is_closed = true;
  make_room();
}

inline void MessagePool::Depot::give(Batch batch) noexcept {
  batch.first->count = batch.count;
  const std::scoped_lock lock{mutex_};
  batch.first->next_batch = first_;
  first_ = batch.first;
}

inline MessagePool::Batch MessagePool::Depot::take() {
  {
    const std::scoped_lock lock{mutex_};
    if (first_ != nullptr) {
      Block* const first = std::exchange(first_, first_->next_batch);
      return {first, first->count};
    }
  }
  auto* memory = static_cast<std::byte*>(
      ::operator new(batch_size * block_size, std::align_val_t{block_alignment}));
  Batch batch;
  for (std::size_t i = 0; i < batch_size; ++i) {
    batch.push(::new (static_cast<void*>(memory + i * block_size)) Block{});
  }
  return batch;
}

}  // namespace genserver::v0
