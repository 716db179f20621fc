// SPDX-License-Identifier: BSL-1.0
// The rules of OTP's supervisor without threads: what a real one has to do.
#pragma once

#include <genserver/otp/supervisor_options.hpp>

#include <support/worker.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// A worker, or a supervisor with its static children.
struct ModelSpec {
  std::string id{};
  genserver::Restart restart = genserver::Restart::permanent;
  bool significant = false;
  bool is_supervisor = false;
  genserver::Strategy strategy = genserver::Strategy::one_for_one;
  unsigned max_restarts = 0;  // of all times
  genserver::AutoShutdown auto_shutdown = genserver::AutoShutdown::never;
  std::vector<ModelSpec> children{};
};

/// What all models of one tree share: what the workers do, and what they have done; see Diary.
struct ModelWorld {
  std::map<std::string, std::vector<Diary::Start>> plans{};
  Diary::Lines lines{};
};

/// Messages are put into its queue, and handled one after the other; a restart that has failed is
/// tried again by a message, behind those that are there already.
class ModelSupervisor {
 public:
  using Status = genserver::ChildStatus;
  using Start = Diary::Start;

  struct Child {
    ModelSpec spec{};
    Status status = Status::stopped;
    bool has_ended = false;      // by itself, and the supervisor has not heard of it yet
    unsigned incarnation = 0;
    unsigned plan = 0;           // of the restart that is tried again
    std::shared_ptr<ModelSupervisor> below{};  // if it is a running supervisor
  };

  ModelSupervisor(ModelWorld& world, ModelSpec spec) : world_{world}, spec_{std::move(spec)} {}

  /// Returns false if a child does not start; then all are stopped.
  bool start();
  void stop();
  [[nodiscard]] bool has_ended() const { return has_ended_; }
  [[nodiscard]] std::vector<Child>& children() { return children_; }
  Child* find(const std::string& id);

  /// A child ends by itself; puts its Down into the queue.
  void end_child(Child& child, Ends how);
  /// The same for one that has ended as a consequence of something else: by `shutdown`.
  void child_has_ended(Child& child);

  /// Puts a request into the queue, whose answer goes to `result`: "ok", or what was thrown.
  void request(std::function<std::string(ModelSupervisor&)> what, std::string& result);
  std::string start_child(const ModelSpec& spec);
  std::string terminate_child(const std::string& id);
  std::string restart_child(const std::string& id);
  std::string delete_child(const std::string& id);

  /// Handles what is in the queue, and what comes into it by that.
  void handle_all();

 private:
  using Index = std::size_t;

  Start start(Child& child);
  void stop(Child& child);
  bool idle(Index index);
  void down(const std::string& id, unsigned incarnation, Ends how);
  void restart(Index index);
  void restart_group(Index first, Index last);
  void try_again(Child& child);
  void heed(const ModelSpec& ended);
  Index index_of(const Child& child) const { return static_cast<Index>(&child - children_.data()); }

  ModelWorld& world_;
  const ModelSpec spec_;
  std::vector<Child> children_{};
  std::deque<std::function<void()>> queue_{};
  unsigned restarts_ = 0;
  bool has_ended_ = false;
};

inline bool ModelSupervisor::start() {
  for (const ModelSpec& each : spec_.children) children_.push_back({each});
  for (Index index = 0; index < children_.size();) {
    const Start start = this->start(children_[index]);
    if (start == Start::fails) {
      stop();
      return false;
    }
    if (start == Start::succeeds || !idle(index)) ++index;
  }
  return true;
}

inline void ModelSupervisor::stop() {
  has_ended_ = true;
  for (; !children_.empty(); children_.pop_back()) stop(children_.back());
}

inline ModelSupervisor::Child* ModelSupervisor::find(const std::string& id) {
  const auto found = std::find_if(children_.begin(), children_.end(),
                                  [&](const Child& each) { return each.spec.id == id; });
  return found == children_.end() ? nullptr : &*found;
}

inline ModelSupervisor::Start ModelSupervisor::start(Child& child) {
  Start start = Start::succeeds;
  if (child.spec.is_supervisor) {
    child.below = std::make_shared<ModelSupervisor>(world_, child.spec);
    if (!child.below->start()) start = Start::fails;
  } else {
    std::vector<Start>& plan = world_.plans[child.spec.id];
    if (!plan.empty()) {
      start = plan.front();
      plan.erase(plan.begin());
    }
    world_.lines.push_back((start == Start::succeeds ? "+" : "!") + child.spec.id);
  }
  if (start != Start::succeeds) {
    child.below = nullptr;
    return start;
  }
  ++child.incarnation;
  child.has_ended = false;
  child.status = Status::running;
  return start;
}

/// Stops a child that is running, if it has not ended by itself.
inline void ModelSupervisor::stop(Child& child) {
  if (child.status != Status::running || std::exchange(child.has_ended, false)) return;
  if (child.below != nullptr) {
    std::exchange(child.below, nullptr)->stop();
  } else {
    world_.lines.push_back("-" + child.spec.id);
  }
}

/// A child is not to run any more. Returns whether it was removed.
inline bool ModelSupervisor::idle(Index index) {
  children_[index].status = Status::stopped;
  if (children_[index].spec.restart != genserver::Restart::temporary) return false;
  children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(index));
  return true;
}

inline void ModelSupervisor::end_child(Child& child, Ends how) {
  stop(child);
  child.has_ended = true;
  queue_.push_back([this, id = child.spec.id, n = child.incarnation, how] { down(id, n, how); });
}

inline void ModelSupervisor::child_has_ended(Child& child) {
  child.below = nullptr;  // it has stopped all
  child.has_ended = true;
  down(child.spec.id, child.incarnation, Ends::with_shutdown);
}

inline void ModelSupervisor::request(std::function<std::string(ModelSupervisor&)> what,
                                     std::string& result) {
  result = "gone";
  queue_.push_back([this, what = std::move(what), &result] { result = what(*this); });
}

inline std::string ModelSupervisor::start_child(const ModelSpec& spec) {
  if (const Child* const held = find(spec.id)) {
    return held->status == Status::running ? "is already started" : "is already present";
  }
  children_.push_back({spec});
  const Start start = this->start(children_.back());
  if (start == Start::is_ignored) idle(children_.size() - 1);
  if (start == Start::fails) children_.pop_back();
  return start == Start::fails ? "failed" : "ok";
}

inline std::string ModelSupervisor::terminate_child(const std::string& id) {
  Child* const child = find(id);
  if (child == nullptr) return "is not found";
  stop(*child);
  idle(index_of(*child));
  return "ok";
}

inline std::string ModelSupervisor::restart_child(const std::string& id) {
  Child* const child = find(id);
  if (child == nullptr) return "is not found";
  if (child->status == Status::running) return "is running";
  if (child->status == Status::restarting) return "is being restarted";
  return start(*child) == Start::fails ? "failed" : "ok";
}

inline std::string ModelSupervisor::delete_child(const std::string& id) {
  Child* const child = find(id);
  if (child == nullptr) return "is not found";
  if (child->status == Status::running) return "is running";
  if (child->status == Status::restarting) return "is being restarted";
  children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(index_of(*child)));
  return "ok";
}

inline void ModelSupervisor::handle_all() {
  while (!queue_.empty() && !has_ended_) {
    const auto message = std::move(queue_.front());
    queue_.pop_front();
    message();
  }
}

inline void ModelSupervisor::down(const std::string& id, unsigned incarnation, Ends how) {
  Child* const child = find(id);
  if (child == nullptr || child->incarnation != incarnation || !child->has_ended) return;
  child->has_ended = false;
  const bool is_abnormal = how == Ends::with_exception || how == Ends::killed;
  const genserver::Restart restart = child->spec.restart;
  if (restart == genserver::Restart::permanent ||
      (restart == genserver::Restart::transient && is_abnormal)) {
    return this->restart(index_of(*child));
  }
  const ModelSpec spec = child->spec;
  idle(index_of(*child));
  heed(spec);
}

inline void ModelSupervisor::restart(Index index) {
  children_[index].status = Status::stopped;
  if (++restarts_ > spec_.max_restarts) return stop();
  switch (spec_.strategy) {
    case genserver::Strategy::one_for_one: return restart_group(index, index + 1);
    case genserver::Strategy::one_for_all: return restart_group(0, children_.size());
    case genserver::Strategy::rest_for_one: return restart_group(index, children_.size());
  }
}

inline void ModelSupervisor::restart_group(Index first, Index last) {
  for (Index index = last; index-- > first;) {
    stop(children_[index]);
    if (idle(index)) --last;
  }
  for (Index index = first; index < last; ++index) {
    if (start(children_[index]) == Start::fails) return try_again(children_[index]);
  }
}

inline void ModelSupervisor::try_again(Child& child) {
  child.status = Status::restarting;
  queue_.push_back([this, id = child.spec.id, plan = ++child.plan] {
    Child* const again = find(id);
    if (again == nullptr || again->status != Status::restarting || again->plan != plan) return;
    restart(index_of(*again));
  });
}

/// A significant child that ended by itself, and is not restarted, may end the supervisor.
inline void ModelSupervisor::heed(const ModelSpec& ended) {
  using genserver::AutoShutdown;
  if (!ended.significant || spec_.auto_shutdown == AutoShutdown::never) return;
  const bool is_last =
      std::none_of(children_.begin(), children_.end(), [](const Child& each) {
        return each.spec.significant && each.status != Status::stopped;
      });
  if (spec_.auto_shutdown == AutoShutdown::any_significant || is_last) stop();
}

