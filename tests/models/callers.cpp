// SPDX-License-Identifier: BSL-1.0
// Callers that run an idle server themselves, and hand it over to its thread.
#include <models/server.hpp>
#include <models/suite.hpp>

#include <array>
#include <cstddef>

namespace model {
namespace {

template <bool is_lossy, Server::Rest rest>
class Callers final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) return server_.serve();
    auto& notes = notes_[static_cast<std::size_t>(thread - 1)];
    number(notes, thread);
    for (std::size_t i = 0; i < notes.size(); ++i) {
      notes[i].has_continuation = i == 0;
      if (i == 1) {
        server_.post(notes[i], false);  // and the call after it is not to overtake it
      } else {
        call(notes[i]);
      }
    }
  }

  void check() override {
    for (const auto& notes : notes_) {
      for (const Note& note : notes) require(note.runs == 1, "each message runs once");
    }
    require(server_.state() == 6, "the State has seen all of them");
  }

 private:
  void call(Note& note) {
    if (server_.try_run_here(note, rest)) return;
    if (rest == Server::Rest::is_handled) return server_.exchange(note);
    OneShot done;
    note.done = &done;
    server_.post(note, false);
    while (!done.sleep(Deadline::never())) {
    }
    note.done = nullptr;
  }

  Server server_{2, is_lossy, 2};
  std::array<std::array<Note, 3>, 2> notes_{};
};

constexpr auto is_left = Server::Rest::is_left;
constexpr auto is_handled = Server::Rest::is_handled;
const Registration<Callers<false, is_left>> callers{{.name = "callers", .threads = 3}};
const Registration<Callers<false, is_handled>> serving_callers{
    {.name = "serving_callers", .threads = 3}};
const Registration<Callers<true, is_handled>> lossy_callers{
    {.name = "lossy_callers", .threads = 3, .runs = 20'000}};

// One finds the server idle again and again, so that a lease begins; the other comes between.
template <std::size_t count, bool calls, bool has_continuations>
class Leased final : public Suite {
 public:
  Leased() {
    number(many_, 1);
    number(few_, 2);
  }

  void run(int thread) override {
    if (thread == 0) return server_.serve();
    if (thread == 1) {
      for (Note& note : many_) {
        note.has_continuation = has_continuations && note.number == 3;
        // The call after it is not to overtake it.
        note.number == 5 ? static_cast<void>(server_.post(note, true)) : call(note);
      }
    } else {
      for (Note& note : few_) {
        if (count > 2) dawdle();
        calls ? call(note) : static_cast<void>(server_.post(note, true));
      }
    }
  }

  void check() override {
    for (const Note& note : many_) require(note.runs == 1, "each call runs once");
    for (const Note& note : few_) require(note.runs == 1, "each message runs once");
  }

 private:
  void call(Note& note) {
    if (!server_.try_run_here(note, is_handled)) server_.exchange(note);
  }

  Server server_{4, false, 2};
  std::array<Note, count> many_{};
  std::array<Note, 2> few_{};
};

const Registration<Leased<2, false, false>> lease_begins{{.name = "lease_begins", .threads = 3}};
const Registration<Leased<6, false, false>> lease_and_casts{
    {.name = "lease_and_casts", .threads = 3}};
const Registration<Leased<6, true, false>> lease_and_calls{
    {.name = "lease_and_calls", .threads = 3}};
const Registration<Leased<6, false, true>> lease_and_work{
    {.name = "lease_and_work", .threads = 3}};

// One calls, the other sends and evicts.
class CallAndEvict final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) return server_.serve();
    auto& [first, last] = notes_[static_cast<std::size_t>(thread - 1)];
    number(notes_[static_cast<std::size_t>(thread - 1)], thread);
    if (thread == 1) {
      first.has_continuation = true;
      if (!server_.try_run_here(first, is_left)) server_.post(first, false);
    } else {
      server_.post(first, true);
      if (Message* const oldest = server_.mailbox.evict_oldest()) oldest->refuse({});
    }
    server_.post(last, false);
  }

  void check() override {
    for (const auto& notes : notes_) {
      for (const Note& note : notes) {
        require(note.runs + note.refusals == 1, "each message runs once, or is evicted");
      }
    }
  }

 private:
  Server server_{1, true, 2};
  std::array<std::array<Note, 2>, 2> notes_{};
};

const Registration<CallAndEvict> call_and_evict{{.name = "call_and_evict", .threads = 3}};

// One calls, the other finds the mailbox full.
class CallAndWait final : public Suite {
 public:
  void run(int thread) override {
    if (thread == 0) return server_.serve();
    auto& notes = notes_[static_cast<std::size_t>(thread - 1)];
    number(notes, thread);
    for (Note& note : notes) {
      if (thread == 1 && server_.try_run_here(note, is_handled)) continue;
      while (server_.post(note, true) == Mailbox::Push::full) {
        server_.mailbox.wait_for_room(Deadline::never());
      }
    }
  }

  void check() override {
    for (const auto& notes : notes_) {
      for (const Note& note : notes) require(note.runs == 1, "each message runs once");
    }
  }

 private:
  Server server_{1, false, 2};
  std::array<std::array<Note, 2>, 2> notes_{};
};

const Registration<CallAndWait> call_and_wait{
    {.name = "call_and_wait", .threads = 3, .runs = 20'000}};

}  // namespace
}  // namespace model
