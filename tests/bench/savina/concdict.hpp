// SPDX-License-Identifier: BSL-1.0
// A dictionary that many servers read and write.
#pragma once

#include <bench/savina/benchmark.hpp>

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>

namespace savina {

/// 20 workers send 10 000 requests each, one after the other, to a dictionary of 524 287 entries,
/// which are neither made nor destroyed while the clock runs; one in ten writes. A master learns
/// from each worker when it has had the last answer.
///
/// On the way: one message for each worker.
template <class Peer>
class Dictionary {
 public:
  static constexpr const char* name = "savina.concdict";

  explicit Dictionary(const Run& run) : requests_{run.scaled(10'000)} {
    for (Key key = 0; key < first_entries_; ++key) entries_.emplace(key, key);
  }

  void run() {
    Finish finish;
    Server<Master> master{Master{.finish = &finish}};
    Server<Entries> dictionary{std::move(entries_)};
    std::deque<Server<Worker>> workers;
    for (Key id = 0; id < workers_; ++id) {
      workers.emplace_back(Worker{&master, &dictionary, Random{id}, requests_});
    }
    for (auto& worker : workers) worker.cast([self = &worker](Worker& state) { state.ask(self); });
    finish.wait();
    right_ = sum(workers, [](Worker& state) { return state.right; });
    entries_ = dictionary.call([](Entries& entries) { return std::move(entries); });
  }

  void check() const {
    Entries written;
    for (Key id = 0; id < workers_; ++id) {
      Random random{id};
      for (Count i = 0; i < requests_; ++i) {
        const Request request = draw(random);
        if (request.writes && request.key >= first_entries_) written.emplace(request.key, 0);
      }
    }
    expect("right answers", workers_ * requests_, right_);
    expect("entries", first_entries_ + written.size(), entries_.size());
  }

 private:
  template <class State>
  using Server = typename Peer::template Server<State>;
  using Key = std::uint32_t;
  using Entries = std::unordered_map<Key, Key>;
  using Random = std::mt19937;

  static constexpr Key first_entries_ = 524'287;
  static constexpr Count workers_ = 20;

  struct Request {
    Key key;
    bool writes;  // the complement of the key, so that a reader knows it again
  };

  static Request draw(Random& random) {
    const bool writes = random() % 100 < 10;
    return {static_cast<Key>(random()), writes};
  }

  struct Master {
    void take_end() {
      if (++ended == workers_) finish->signal();
    }

    Finish* finish;
    Count ended = 0;
  };

  struct Worker {
    void ask(Server<Worker>* self) {
      if (left == 0) return (void)master->cast([](Master& state) { state.take_end(); });
      --left;
      asked = draw(random);
      dictionary->cast(
          [self, request = asked](Entries& entries) { serve(entries, request, self); });
    }
    void take_answer(std::optional<Key> value) {
      const bool is_first = asked.key < first_entries_ ? value == asked.key : !value.has_value();
      if (value == ~asked.key || (is_first && !asked.writes)) ++right;
    }

    Server<Master>* master;
    Server<Entries>* dictionary;
    Random random;
    Count left;
    Request asked{};
    Count right = 0;
  };

  static void serve(Entries& entries, Request request, Server<Worker>* asker) {
    if (request.writes) entries.insert_or_assign(request.key, ~request.key);
    const auto found = entries.find(request.key);
    const auto value = found == entries.end() ? std::nullopt : std::optional{found->second};
    asker->cast([asker, value](Worker& state) {
      state.take_answer(value);
      state.ask(asker);
    });
  }

  const Count requests_;
  Entries entries_;
  Count right_ = 0;
};

}  // namespace savina
