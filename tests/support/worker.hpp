// SPDX-License-Identifier: BSL-1.0
// Children for the tests of supervisors: they write down when they start and end.
#pragma once

#include <genserver/otp/child_definition.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// What the workers of one test have done, in order: "+a" when a has started, "!a" when it did not,
/// "-a" when its State is destroyed.
class Diary {
 public:
  using Lines = std::vector<std::string>;
  enum class Start { succeeds, fails, is_ignored };

  /// Says what the next starts of `name` do, one after the other; those after them succeed.
  void plan(const std::string& name, std::vector<Start> starts) {
    const std::scoped_lock lock{mutex_};
    plans_[name] = std::move(starts);
  }
  /// Takes the next start of `name` from its plan.
  Start start(const std::string& name) {
    const std::scoped_lock lock{mutex_};
    std::vector<Start>& plan = plans_[name];
    const Start next = plan.empty() ? Start::succeeds : plan.front();
    if (!plan.empty()) plan.erase(plan.begin());
    lines_.push_back((next == Start::succeeds ? "+" : "!") + name);
    return next;
  }
  void note(std::string line) {
    const std::scoped_lock lock{mutex_};
    lines_.push_back(std::move(line));
  }
  /// Returns whether `line` was written since the last take().
  [[nodiscard]] bool has(const std::string& line) {
    const std::scoped_lock lock{mutex_};
    return std::find(lines_.begin(), lines_.end(), line) != lines_.end();
  }
  /// Returns what was written since the last time.
  Lines take() {
    const std::scoped_lock lock{mutex_};
    return std::exchange(lines_, {});
  }

 private:
  std::mutex mutex_{};
  std::map<std::string, std::vector<Start>> plans_{};  // guarded by mutex_
  Lines lines_{};                                      // guarded by mutex_
};

/// What a worker does besides; runs in its State::terminate.
using OnTerminate = std::function<void(const genserver::ExitReason&)>;

struct WorkerState {
  WorkerState(std::shared_ptr<Diary> with, std::string is, OnTerminate terminates)
      : diary{std::move(with)}, name{std::move(is)}, on_terminate{std::move(terminates)} {
    const Diary::Start start = diary->start(name);
    if (start == Diary::Start::fails) throw std::runtime_error{name + " does not start"};
    if (start == Diary::Start::is_ignored) throw genserver::IgnoreStart{};
  }
  ~WorkerState() { diary->note("-" + name); }
  WorkerState(const WorkerState&) = delete;
  WorkerState& operator=(const WorkerState&) = delete;

  void terminate(const genserver::ExitReason& reason) {
    if (on_terminate) on_terminate(reason);
  }

  std::shared_ptr<Diary> diary;
  std::string name;
  OnTerminate on_terminate;
};

class Worker : public genserver::GenServer<WorkerState> {
 public:
  Worker(std::shared_ptr<Diary> diary, std::string name, OnTerminate on_terminate = nullptr)
      : GenServer({.name = name}, std::move(diary), name, std::move(on_terminate)) {}
};

/// How a server ends by itself.
enum class Ends { normally, with_shutdown, with_exception, killed };

/// Lets `server` end; those who monitor it have been told then.
template <class Server>
void end(const Server& server, Ends how) {
  switch (how) {
    case Ends::normally: server.request_stop(); break;
    case Ends::with_shutdown: server.request_stop(genserver::ExitReason::shutdown("done")); break;
    case Ends::with_exception: server.cast([] { throw std::runtime_error{"crashed"}; }); break;
    case Ends::killed: server.kill(); break;
  }
  server.wait();
}
