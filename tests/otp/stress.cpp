// SPDX-License-Identifier: BSL-1.0
#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/report_log.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace genserver;

namespace {

using Worker = GenServer<int>;

/// Servers that come and go, which threads take from and put back into places.
class World {
 public:
  explicit World(std::size_t count) : servers_(count) {
    for (auto& server : servers_) server = std::make_shared<Worker>(Options{.name = "one"}, 0);
  }
  std::shared_ptr<Worker> at(std::size_t index) {
    const std::scoped_lock lock{mutex_};
    return servers_[index % servers_.size()];
  }
  void replace(std::size_t index) {
    auto next = std::make_shared<Worker>(Options{.name = "one"}, 0);
    const std::scoped_lock lock{mutex_};
    servers_[index % servers_.size()].swap(next);
  }
  void clear() { servers_.clear(); }

 private:
  std::mutex mutex_{};
  std::vector<std::shared_ptr<Worker>> servers_;  // guarded by mutex_
};

struct Counts {
  std::atomic<int> monitors{0};
  std::atomic<int> downs{0};
};

/// One random thing that may happen to two servers. `observer` lives longer than all of them.
void happen(unsigned what, World& world, std::size_t a, std::size_t b, Worker& observer,
            Registry<int, int>& registry, Counts& counts) {
  const auto first = world.at(a);
  const auto second = world.at(b);
  switch (what % 12) {
    case 0:
    case 1:
      observer.monitor(*first, [&](const Down&) { ++counts.downs; });
      ++counts.monitors;
      break;
    case 2: first->link(*second); break;
    case 3: first->unlink(*second); break;
    case 4: first->kill(); break;
    case 5: first->request_stop(); break;
    case 6: first->cast([] { throw std::runtime_error{"crashed"}; }); break;
    case 7: registry.register_name(static_cast<int>(b % 16), *first); break;
    case 8: static_cast<void>(registry.whereis(static_cast<int>(b % 16))); break;
    case 9: first->exit(ExitReason::shutdown()); break;
    case 10: first->call([&second](int& n) { n += second->call([](int& m) { return ++m; }); }); break;
    default: world.replace(a); break;
  }
}

}  // namespace

TEST_CASE("whatever happens among 32 servers, every monitor gets one Down, every name is free and "
          "no server is left",
          "[otp][stress][.stress]") {
  const ReportLog log;
  Registry<int, int> registry;
  Counts counts;
  std::vector<Pid> before;
  for (const ServerSnapshot& server : snapshot().servers) before.push_back(server.pid);
  {
    Worker observer{{.name = "observer"}, 0};
    World world{32};
    std::vector<std::thread> threads;
    for (unsigned seed = 1; seed <= 4; ++seed) {
      threads.emplace_back([&, seed] {
        std::mt19937 random{seed};
        for (int step = 0; step < 1500; ++step) {
          const auto what = static_cast<unsigned>(random());
          const std::size_t a = random();
          const std::size_t b = random();
          try {
            happen(what, world, a, b, observer, registry, counts);
          } catch (const Error&) {  // gone, taken, a deadlock: as it may be
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    world.clear();

    CHECK(eventually([&] {
      observer.call([] {});
      return counts.downs == counts.monitors;
    }));
    CHECK(registry.size() == 0);
  }
  CHECK(counts.downs == counts.monitors);
  CHECK(eventually([&] { return snapshot().servers.size() == before.size(); }));
}
