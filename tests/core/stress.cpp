// SPDX-License-Identifier: BSL-1.0
// Sixteen servers under random load; at the end every request has to be accounted for.
#include <genserver/genserver.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/report_log.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

struct Work {
  long handled = 0;
};
using Owner = GenServer<Work>;

/// What became of all requests, by number.
class Ledger {
 public:
  explicit Ledger(std::size_t size) : handled_(size) {}

  std::size_t next() { return next_.fetch_add(1); }
  [[nodiscard]] bool is_full() const { return next_.load() + 100 >= handled_.size(); }
  void handle(std::size_t id) { handled_[id].fetch_add(1); }
  [[nodiscard]] int handled(std::size_t id) const { return handled_[id].load(); }
  void fault(const char* what) {
    const std::scoped_lock lock{mutex_};
    faults_.push_back(what);
  }
  [[nodiscard]] std::vector<std::string> faults() {
    const std::scoped_lock lock{mutex_};
    return faults_;
  }
  [[nodiscard]] int most_often() const {
    int most = 0;
    for (const auto& times : handled_) most = std::max(most, times.load());
    return most;
  }

  std::atomic<long> live_tickets{0};

 private:
  std::vector<std::atomic<int>> handled_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_{};
  std::vector<std::string> faults_{};  // guarded by mutex_
};

/// Travels in a request, and shows that it is destroyed however the request ends.
class Ticket {
 public:
  Ticket(Ledger& ledger, std::size_t id) : ledger_{&ledger}, id_{id} { ++ledger_->live_tickets; }
  Ticket(Ticket&& other) noexcept : ledger_{other.ledger_}, id_{other.id_} {
    ++ledger_->live_tickets;
  }
  ~Ticket() { --ledger_->live_tickets; }
  void handle(Work& work) const {
    ++work.handled;
    ledger_->handle(id_);
  }
  [[nodiscard]] std::size_t id() const { return id_; }

 private:
  Ledger* ledger_;
  std::size_t id_;
};

/// The servers; a slot's owner may be replaced at any time.
class Slots {
 public:
  static constexpr std::size_t size = 16;

  Slots() {
    for (std::size_t i = 0; i < size; ++i) replace(i);
  }
  ServerRef<Work> at(std::size_t i) {
    const std::scoped_lock lock{mutex_};
    return owners_[i]->ref();
  }
  /// Puts a new server there and returns the old owner, to be dropped where the caller likes.
  std::shared_ptr<Owner> replace(std::size_t i) {
    Options options{.name = "slot " + std::to_string(i)};
    options.mailbox_capacity = i % 4 == 0 ? 2 : 64;
    options.on_full = static_cast<OnFull>(i % 4);
    options.on_exception = i % 5 == 0 ? OnException::crash : OnException::reply;
    if (i % 3 == 0) options.run_calls = RunCalls::on_caller_when_idle;
    auto fresh = genserver::start<Owner>(options);
    const std::scoped_lock lock{mutex_};
    owners_[i].swap(fresh);
    return fresh;
  }

 private:
  std::mutex mutex_{};
  std::array<std::shared_ptr<Owner>, size> owners_{};  // guarded by mutex_
};

class Client {
 public:
  Client(Slots& slots, Ledger& ledger, unsigned seed)
      : slots_{slots}, ledger_{ledger}, random_{seed} {}

  void run() {
    while (!ledger_.is_full()) step();
  }

 private:
  unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
  ServerRef<Work> anyone() { return slots_.at(pick(Slots::size)); }
  Ticket ticket() { return {ledger_, ledger_.next()}; }
  void expect(bool is_so, const char* what) {
    if (!is_so) ledger_.fault(what);
  }

  void step() {
    switch (pick(16)) {
      case 0: case 1: return call();
      case 2: case 3: return cast();
      case 4: return timed_call();
      case 5: return async_call();
      case 6: return deferred_call();
      case 7: return failing_call();
      case 8: case 9: return chain(3);
      case 10: return guarded_call();
      case 11: return timer();
      case 12: return pick(4) == 0 ? crash() : cast();
      case 13: return pick(4) == 0 ? stop() : call();
      case 14: return pick(4) == 0 ? drop_owner() : cast();
      default: return pick(4) == 0 ? drop_owner_inside() : call();
    }
  }

  void call() {
    const Ticket mine = ticket();
    try {
      anyone().call([&](Work& work) { mine.handle(work); });
      expect(ledger_.handled(mine.id()) == 1, "an answered call was not handled once");
    } catch (const ServerGone&) {
      expect(ledger_.handled(mine.id()) == 0, "a refused call was handled");
    }
  }

  void cast() {
    Ticket mine = ticket();
    const auto id = mine.id();
    const auto handler = [mine = std::make_shared<Ticket>(std::move(mine))](Work& work) {
      mine->handle(work);
    };
    const bool accepted = pick(2) == 0 ? anyone().cast(handler) : anyone().try_cast(handler);
    if (!accepted) expect(ledger_.handled(id) == 0, "a refused cast was handled");
  }

  void timed_call() {
    Ticket mine = ticket();
    const auto id = mine.id();
    try {
      const auto timeout = std::chrono::microseconds{pick(200)};
      anyone().call_for(timeout, [mine = std::move(mine)](Work& work) { mine.handle(work); });
      expect(ledger_.handled(id) == 1, "an answered timed call was not handled once");
    } catch (const CallTimeout& timeout) {
      const bool never_ran =
          timeout.phase() == CallPhase::queued || timeout.phase() == CallPhase::not_sent;
      if (never_ran) expect(ledger_.handled(id) == 0, "a call that was taken back was handled");
    } catch (const Error&) {  // ServerGone, MailboxFull
      expect(ledger_.handled(id) == 0, "a refused timed call was handled");
    }
  }

  void async_call() {
    Ticket mine = ticket();
    const auto id = mine.id();
    auto answer = anyone().async_call([mine = std::move(mine)](Work& work) {
      mine.handle(work);
      return mine.id();
    });
    if (pick(4) == 0) return;  // not interested any more
    try {
      expect(answer.get() == id, "an answer went to the wrong caller");
      expect(ledger_.handled(id) == 1, "an answered async call was not handled once");
    } catch (const Error&) {
      expect(ledger_.handled(id) == 0, "a refused async call was handled");
    }
  }

  void deferred_call() {
    Ticket mine = ticket();
    const auto id = mine.id();
    const auto how = pick(4);
    try {
      const auto answer = anyone().call<std::size_t>(
          [how, mine = std::make_shared<Ticket>(std::move(mine))](
              Work& work, Reply<std::size_t> reply) {
            mine->handle(work);
            if (how == 0) return;  // dropped
            if (how == 1) return static_cast<void>(reply.reply(mine->id()));
            if (how == 2) return static_cast<void>(reply.abort());
            self<Work>().cast([mine, kept = std::make_shared<Reply<std::size_t>>(std::move(reply))](
                                  Work&) { kept->reply(mine->id()); });
          });
      expect(answer == id, "a deferred answer went to the wrong caller");
    } catch (const NoReply&) {
      expect(ledger_.handled(id) == 1, "a dropped reply was not handled once");
    } catch (const ServerGone&) {
      expect(ledger_.handled(id) <= 1, "a refused deferred call was handled twice");
    }
  }

  void failing_call() {
    const Ticket mine = ticket();
    try {
      anyone().call([&](Work& work) {
        mine.handle(work);
        throw std::out_of_range{"failing"};
      });
      expect(false, "an exception was lost");
    } catch (const std::out_of_range&) {
      expect(ledger_.handled(mine.id()) == 1, "a failing call was not handled once");
    } catch (const ServerGone&) {  // had ended, or OnException::crash
    }
  }

  /// Servers that call servers, in any circle; whoever would close one gets Deadlock.
  void chain(unsigned depth) {
    std::vector<ServerRef<Work>> path;
    for (unsigned i = 0; i < depth; ++i) path.push_back(anyone());
    const Ticket mine = ticket();
    try {
      call_along(path, 0, mine);
      expect(ledger_.handled(mine.id()) == 1, "an answered chain was not handled once");
    } catch (const Error&) {  // Deadlock, ServerGone
      expect(ledger_.handled(mine.id()) == 0, "a refused chain was handled");
    }
  }
  static void call_along(const std::vector<ServerRef<Work>>& path, std::size_t at,
                         const Ticket& mine) {
    path[at].call([&path, at, &mine](Work& work) {
      if (at + 1 == path.size()) return mine.handle(work);
      call_along(path, at + 1, mine);
    });
  }

  void guarded_call() {
    const auto server = anyone();
    const Ticket mine = ticket();
    int tries = 0;
    try {
      server.cast_after(100us, [](Work&) {});  // so that the guard is asked again
      server.call_when([&](const Work&) { return ++tries > 1; },
                       [&](Work& work) { mine.handle(work); });
      expect(ledger_.handled(mine.id()) == 1, "a guarded call was not handled once");
    } catch (const ServerGone&) {
      expect(ledger_.handled(mine.id()) == 0, "a refused guarded call was handled");
    }
  }

  void timer() {
    auto mine = std::make_shared<Ticket>(ticket());
    Timer timer = anyone().cast_after(std::chrono::microseconds{pick(500)},
                                      [mine](Work& work) { mine->handle(work); });
    if (pick(2) == 0) timer.cancel();
  }

  void crash() {
    if (pick(2) == 0) {
      anyone().try_cast([](Work&) { throw std::runtime_error{"crash"}; });
    } else {
      anyone().try_cast([](Work&) { throw Exit{ExitReason::shutdown("enough")}; });
    }
  }

  void stop() {
    try {
      pick(2) == 0 ? anyone().stop_for(1ms) : (anyone().request_stop(), true);
    } catch (const ServerGone&) {  // it had ended
    }
  }

  void drop_owner() { slots_.replace(pick(Slots::size)); }

  /// The last owner goes in the server's own handler.
  void drop_owner_inside() {
    auto owner = slots_.replace(pick(Slots::size));
    const auto server = owner->ref();
    server.try_cast([owner = std::move(owner)](Work&) mutable { owner.reset(); });
  }

  Slots& slots_;
  Ledger& ledger_;
  std::mt19937 random_;
};

void run_load(unsigned seed, std::size_t requests) {
  const ReportLog log;
  Ledger ledger{requests};
  {
    Slots slots;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 6; ++i) {
      threads.emplace_back([&, i] { Client{slots, ledger, seed * 100 + i}.run(); });
    }
    for (std::thread& thread : threads) thread.join();
  }

  const auto faults = ledger.faults();
  CAPTURE(seed, faults);
  CHECK(faults.empty());
  CHECK(ledger.most_often() == 1);
  REQUIRE(eventually([&] { return ledger.live_tickets == 0; }));  // none was lost
}

}  // namespace

TEST_CASE("every request among sixteen servers is answered, refused or failed, once",
          "[core][stress]") {
  run_load(1, 2000);
}

TEST_CASE("every request is accounted for, for many seeds", "[core][stress][.stress]") {
  for (unsigned seed = 2; seed < 6; ++seed) run_load(seed, 8000);
}
