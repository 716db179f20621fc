// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/message_pool.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

using genserver::MessagePool;

namespace {

using Blocks = std::vector<void*>;

Blocks allocate(std::size_t count) {
  Blocks blocks(count);
  for (void*& block : blocks) block = MessagePool::allocate();
  return blocks;
}

void deallocate(const Blocks& blocks) {
  for (void* block : blocks) MessagePool::deallocate(block);
}

/// Runs `function()` on a thread of its own, whose shelf is empty at first.
template <class Function>
void on_thread(Function&& function) {
  std::thread{std::forward<Function>(function)}.join();
}

// Uses the pool when its thread ends: takes `takes` blocks, and gives back what it was given.
class LateUser {
 public:
  ~LateUser() {
    deallocate(*given_);
    *taken_ = allocate(takes_);
  }
  void plan(const Blocks& given, std::size_t takes, Blocks& taken) {
    given_ = &given;
    takes_ = takes;
    taken_ = &taken;
  }

 private:
  const Blocks* given_ = nullptr;
  std::size_t takes_ = 0;
  Blocks* taken_ = nullptr;
};

}  // namespace

TEST_CASE("blocks are aligned and do not overlap", "[sync][message_pool]") {
  on_thread([] {
    Blocks blocks = allocate(100);
    std::set<std::uintptr_t> addresses;
    for (void* block : blocks) addresses.insert(reinterpret_cast<std::uintptr_t>(block));
    std::uintptr_t before = 0;
    int wrong = 0;

    for (const std::uintptr_t address : addresses) {
      wrong += address % MessagePool::block_alignment == 0 ? 0 : 1;
      wrong += address - before >= MessagePool::block_size ? 0 : 1;
      before = address;
    }

    deallocate(blocks);
    CHECK(addresses.size() == 100);
    CHECK(wrong == 0);
  });
}

TEST_CASE("a block keeps all that is written to it", "[sync][message_pool]") {
  on_thread([] {
    const Blocks blocks = allocate(100);
    int wrong = 0;

    for (std::size_t i = 0; i < 100; ++i) {
      std::memset(blocks[i], static_cast<int>(i), MessagePool::block_size);
    }
    for (std::size_t i = 0; i < 100; ++i) {
      const auto* bytes = static_cast<const unsigned char*>(blocks[i]);
      for (std::size_t n = 0; n < MessagePool::block_size; ++n) wrong += bytes[n] == i ? 0 : 1;
    }

    deallocate(blocks);
    CHECK(wrong == 0);
  });
}

TEST_CASE("a block that was given back is the next to be used", "[sync][message_pool]") {
  on_thread([] {
    void* const first = MessagePool::allocate();
    MessagePool::deallocate(first);

    void* const second = MessagePool::allocate();

    MessagePool::deallocate(second);
    CHECK(second == first);
  });
}

TEST_CASE("as many blocks as before need no new memory", "[sync][message_pool]") {
  on_thread([] {
    std::set<void*> all;

    for (int round = 0; round < 50; ++round) {
      const Blocks blocks = allocate(1000);
      all.insert(blocks.begin(), blocks.end());
      deallocate(blocks);
    }

    CHECK(all.size() < 1100);  // 1000, and some that lay in between
  });
}

TEST_CASE("blocks that another thread gives back are used again", "[sync][message_pool]") {
  on_thread([] {
    std::set<void*> all;

    for (int round = 0; round < 50; ++round) {
      const Blocks blocks = allocate(200);
      all.insert(blocks.begin(), blocks.end());
      on_thread([&] { deallocate(blocks); });
    }

    CHECK(all.size() < 600);
  });
}

TEST_CASE("a thread leaves its unused blocks to the next", "[sync][message_pool]") {
  std::set<void*> all;

  for (int round = 0; round < 200; ++round) {
    on_thread([&] {
      const Blocks blocks = allocate(3);
      all.insert(blocks.begin(), blocks.end());
      deallocate(blocks);
    });
  }

  CHECK(all.size() < 100);
}

TEST_CASE("blocks can be given back and taken while the thread ends", "[sync][message_pool]") {
  const bool is_late = GENERATE(false, true);  // after or before the pool's own end in this thread
  std::set<void*> all;

  for (int round = 0; round < 200; ++round) {
    Blocks given = allocate(40), taken;
    on_thread([&] {
      if (!is_late) deallocate(allocate(1));
      thread_local LateUser user;
      user.plan(given, 40, taken);
      if (is_late) deallocate(allocate(1));
    });
    all.insert(taken.begin(), taken.end());
    deallocate(taken);
  }

  CHECK(all.size() < 400);
}

TEST_CASE("a thread that ends keeps no block that it did not use", "[sync][message_pool]") {
  std::set<void*> all;
  const Blocks nothing;

  for (int round = 0; round < 500; ++round) {
    Blocks taken;
    on_thread([&] {
      thread_local LateUser user;
      user.plan(nothing, 1, taken);
      deallocate(allocate(1));
    });
    all.insert(taken.begin(), taken.end());
    deallocate(taken);
  }

  CHECK(all.size() < 250);
}

TEST_CASE("a thread that only gives back a few blocks loses none", "[sync][message_pool]") {
  std::set<void*> all;

  for (int round = 0; round < 500; ++round) {
    const Blocks blocks = allocate(3);
    all.insert(blocks.begin(), blocks.end());
    on_thread([&] { deallocate(blocks); });
  }

  CHECK(all.size() < 250);
}

TEST_CASE("what a thread gave back is there for others when it has ended", "[sync][message_pool]") {
  const Blocks blocks = allocate(1000);
  std::size_t known = 0;

  on_thread([&] { deallocate(blocks); });
  on_thread([&] {
    const std::set<void*> given{blocks.begin(), blocks.end()};
    const Blocks again = allocate(1000);
    for (void* block : again) known += given.count(block);
    deallocate(again);
  });

  CHECK(known > 900);
}

namespace {

// Blocks on their way between threads.
class Exchange {
 public:
  void put(void* block) {
    const std::scoped_lock lock{mutex_};
    blocks_.push_back(block);
  }
  void* take() {
    const std::scoped_lock lock{mutex_};
    if (blocks_.empty()) return nullptr;
    void* const block = blocks_.back();
    blocks_.pop_back();
    return block;
  }

 private:
  std::mutex mutex_{};
  Blocks blocks_{};  // guarded by mutex_
};

/// Takes blocks, fills each with one value, and gives back those of others. Returns how many were
/// not filled with one value any more: then two had the same block.
int trade(Exchange& exchange, unsigned seed) {
  std::minstd_rand random{seed};
  int wrong = 0;
  for (int i = 0; i < 150'000; ++i) {
    if (random() % 2 == 0) {
      void* const block = MessagePool::allocate();
      std::memset(block, static_cast<int>(random() % 256), MessagePool::block_size);
      exchange.put(block);
    } else if (void* const block = exchange.take()) {
      const auto* bytes = static_cast<const unsigned char*>(block);
      const auto end = bytes + MessagePool::block_size;
      wrong += std::all_of(bytes, end, [&](unsigned char byte) { return byte == *bytes; }) ? 0 : 1;
      MessagePool::deallocate(block);
    }
  }
  return wrong;
}

}  // namespace

TEST_CASE("no block is in two hands", "[.stress][sync][message_pool]") {
  Exchange exchange;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;

  for (unsigned seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] { wrong += trade(exchange, seed); });
  }
  for (std::thread& thread : threads) thread.join();
  while (void* const block = exchange.take()) MessagePool::deallocate(block);

  CHECK(wrong == 0);
}
