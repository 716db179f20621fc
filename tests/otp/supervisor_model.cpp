// SPDX-License-Identifier: BSL-1.0
// Random trees and events: a real supervisor must do what the model of OTP's rules does.
#include <genserver/otp/supervisor.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/hold.hpp>
#include <support/model_supervisor.hpp>
#include <support/report_log.hpp>

#include <fmt/core.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Start = Diary::Start;

/// One real tree and its model, to both of which the same happens.
class Race {
 public:
  explicit Race(unsigned seed) : random_{seed} {
    ModelSpec spec = random_spec(0);
    spec.is_supervisor = true;
    model_ = std::make_shared<ModelSupervisor>(world_, spec);
    model_->start();
    real_ = start<Supervisor>(options_of(spec), definitions_of(spec));
  }

  /// Lets something happen to one supervisor. Returns false once the whole tree has ended.
  bool step();
  /// Returns how the two differ, or nothing.
  std::string difference();
  void stop() {
    is_over_ = true;
    model_->stop();
    real_->stop();
  }

 private:
  /// A supervisor in both trees, and the one above.
  struct Place {
    std::shared_ptr<ModelSupervisor> model{};
    std::shared_ptr<Supervisor> real{};
    std::shared_ptr<Place> above{};
    std::string id{};
  };
  using Pending = std::vector<std::pair<Future<std::string>, std::shared_ptr<std::string>>>;

  unsigned below(unsigned limit) { return static_cast<unsigned>(random_()) % limit; }
  template <class T>
  const T& one_of(const std::vector<T>& values) {
    return values[below(static_cast<unsigned>(values.size()))];
  }

  ModelSpec random_spec(unsigned depth);
  SupervisorOptions options_of(const ModelSpec& spec) const;
  ChildDefinition definition_of(const ModelSpec& spec) const;
  std::vector<ChildDefinition> definitions_of(const ModelSpec& spec) const;
  std::string any_id(ModelSupervisor& model);

  void collect(const std::shared_ptr<Place>& place, std::vector<std::shared_ptr<Place>>& places);
  void plan_starts(ModelSupervisor& model);
  void end_child(Place& place, ModelSupervisor::Child& child, const AnyRef& server);
  void ask(Place& place, Pending& pending);
  void settle(const Place& place);
  static std::string drawing_of(ModelSupervisor& model);
  static std::string drawing_of(const Supervisor& real);

  std::minstd_rand random_;
  unsigned last_id_ = 0;
  std::shared_ptr<Diary> diary_ = std::make_shared<Diary>();
  ModelWorld world_{};
  std::shared_ptr<ModelSupervisor> model_{};
  std::shared_ptr<Supervisor> real_{};
  std::string complaint_{};  // about an answer
  bool is_over_ = false;
  ReportLog log_{};
};

ModelSpec Race::random_spec(unsigned depth) {
  ModelSpec spec;
  spec.is_supervisor = depth == 0 || (depth < 3 && below(10) < 3);
  spec.id = (spec.is_supervisor ? "s" : "w") + std::to_string(++last_id_);
  spec.restart = one_of<Restart>({Restart::permanent, Restart::permanent, Restart::transient,
                                  Restart::temporary});
  if (!spec.is_supervisor) return spec;
  spec.strategy =
      one_of<Strategy>({Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one});
  spec.max_restarts = below(6);
  spec.auto_shutdown = one_of<AutoShutdown>(
      {AutoShutdown::never, AutoShutdown::any_significant, AutoShutdown::all_significant});
  for (unsigned n = below(4) + (depth == 0 ? 1 : 0); n > 0; --n) {
    spec.children.push_back(random_spec(depth + 1));
    ModelSpec& child = spec.children.back();
    child.significant = spec.auto_shutdown != AutoShutdown::never &&
                        child.restart != Restart::permanent && below(2) == 0;
  }
  return spec;
}

SupervisorOptions Race::options_of(const ModelSpec& spec) const {
  return {.name = spec.id,
          .strategy = spec.strategy,
          .max_restarts = spec.max_restarts,
          .within = 1h,
          .auto_shutdown = spec.auto_shutdown};
}

ChildDefinition Race::definition_of(const ModelSpec& spec) const {
  const ChildSpec own{.id = spec.id, .restart = spec.restart, .significant = spec.significant};
  if (!spec.is_supervisor) return child<Worker>(own, diary_, spec.id);
  return child<Supervisor>(own, options_of(spec), definitions_of(spec));
}

std::vector<ChildDefinition> Race::definitions_of(const ModelSpec& spec) const {
  std::vector<ChildDefinition> all;
  for (const ModelSpec& each : spec.children) all.push_back(definition_of(each));
  return all;
}

std::string Race::any_id(ModelSupervisor& model) {
  if (model.children().empty() || below(10) == 0) return "nobody";
  return one_of(model.children()).spec.id;
}

/// Finds all supervisors that are running.
void Race::collect(const std::shared_ptr<Place>& place,
                   std::vector<std::shared_ptr<Place>>& places) {
  places.push_back(place);
  for (ModelSupervisor::Child& child : place->model->children()) {
    if (child.below == nullptr) continue;
    const auto real = place->real->child<Supervisor>(child.spec.id).lock();
    collect(std::make_shared<Place>(Place{child.below, real, place, child.spec.id}), places);
  }
}

void Race::plan_starts(ModelSupervisor& model) {
  for (ModelSupervisor::Child& child : model.children()) {
    if (child.below != nullptr) plan_starts(*child.below);
    if (child.spec.is_supervisor || below(3) != 0) continue;
    std::vector<Start> plan;
    for (unsigned n = below(4); n > 0; --n) {
      plan.push_back(one_of<Start>({Start::fails, Start::fails, Start::is_ignored}));
    }
    world_.plans[child.spec.id] = plan;
    diary_->plan(child.spec.id, plan);
  }
}

/// A child ends by itself, while its supervisor is held.
void Race::end_child(Place& place, ModelSupervisor::Child& child, const AnyRef& server) {
  const Ends how =
      one_of<Ends>({Ends::normally, Ends::with_shutdown, Ends::with_exception, Ends::killed});
  const bool is_killed = how == Ends::killed && !child.spec.is_supervisor;
  if (is_killed) {
    server.kill();
    eventually([&] { return diary_->has("-" + child.spec.id); });  // if it was not that fast
  } else if (how == Ends::normally) {
    server.stop();
  } else if (how == Ends::with_shutdown) {
    server.stop(ExitReason::shutdown("done"));
  } else {
    server.stop(ExitReason::exception(nullptr));
  }
  server.wait();
  place.model->end_child(child, is_killed || how != Ends::killed ? how : Ends::with_exception);
}

/// Somebody asks for a change.
void Race::ask(Place& place, Pending& pending) {
  using Request = std::function<void(SupervisorState&)>;
  const auto result = std::make_shared<std::string>();
  const auto queue = [&](const Request& real, auto model) {
    place.model->request(model, *result);
    pending.emplace_back(place.real->async_call([real](SupervisorState& state) -> std::string {
      try {
        real(state);
        return "ok";
      } catch (const ChildError& error) {
        return to_string(error.kind());
      } catch (const StartFailed&) {
        return "failed";
      }
    }), result);
  };
  const std::string id = any_id(*place.model);
  ModelSpec spec = random_spec(below(2) + 1);
  if (below(3) == 0) spec.id = spec.is_supervisor ? spec.id : id;
  switch (below(4)) {
    case 0:
      return queue([id](SupervisorState& state) { state.terminate_child(id); },
                   [id](ModelSupervisor& model) { return model.terminate_child(id); });
    case 1:
      return queue([id](SupervisorState& state) { state.restart_child(id); },
                   [id](ModelSupervisor& model) { return model.restart_child(id); });
    case 2:
      return queue([id](SupervisorState& state) { state.delete_child(id); },
                   [id](ModelSupervisor& model) { return model.delete_child(id); });
    default:
      return queue(
          [made = definition_of(spec)](SupervisorState& state) { state.start_child(made); },
          [spec](ModelSupervisor& model) { return model.start_child(spec); });
  }
}

/// Waits until a supervisor has nothing more to do, and so on with the one above if it has ended.
void Race::settle(const Place& place) {
  place.model->handle_all();
  try {
    eventually([&] {
      for (const ChildSnapshot& each : place.real->children()) {
        if (each.status == ChildStatus::restarting) return false;
      }
      return true;
    });
  } catch (const ServerGone&) {
    place.real->wait();  // so that the one above has been told
  }
  if (!place.model->has_ended() || place.above == nullptr) return;
  place.above->model->child_has_ended(*place.above->model->find(place.id));
  settle(*place.above);
}

bool Race::step() {
  std::vector<std::shared_ptr<Place>> places;
  collect(std::make_shared<Place>(Place{model_, real_, nullptr, {}}), places);
  const std::shared_ptr<Place> place = one_of(places);
  std::map<std::string, AnyRef> servers;
  for (const ChildSnapshot& each : place->real->children()) servers[each.id] = each.server;
  places.clear();
  plan_starts(*model_);

  Pending pending;
  {
    Hold hold{*place->real};
    for (unsigned n = below(4) + 1; n > 0; --n) {
      auto* const child = place->model->find(any_id(*place->model));
      if (child == nullptr || below(2) == 0) {
        ask(*place, pending);
      } else if (child->status == ChildStatus::running && !child->has_ended) {
        end_child(*place, *child, servers[child->spec.id]);
      }
    }
  }
  settle(*place);
  for (auto& [real, model] : pending) {
    std::string answer = "gone";
    try {
      answer = real.get();
    } catch (const ServerGone&) {
    }
    if (answer != *model) complaint_ += fmt::format("answer \"{}\" for \"{}\"; ", answer, *model);
  }
  return !model_->has_ended();
}

std::string Race::drawing_of(ModelSupervisor& model) {
  std::string text;
  for (ModelSupervisor::Child& each : model.children()) {
    text += fmt::format("{}:{} ", each.spec.id, to_string(each.status));
    if (each.below != nullptr) text += "[" + drawing_of(*each.below) + "] ";
  }
  return text;
}

std::string Race::drawing_of(const Supervisor& real) {
  std::string text;
  for (const ChildSnapshot& each : real.children()) {
    text += fmt::format("{}:{} ", each.id, to_string(each.status));
    if (!each.is_supervisor || each.status != ChildStatus::running) continue;
    text += "[" + drawing_of(*real.child<Supervisor>(each.id).lock()) + "] ";
  }
  return text;
}

std::string Race::difference() {
  std::string found = std::exchange(complaint_, {});
  const Diary::Lines done = diary_->take();
  const Diary::Lines expected = std::exchange(world_.lines, {});
  if (done != expected) {
    found += "done:";
    for (const std::string& line : done) found += " " + line;
    found += "; expected:";
    for (const std::string& line : expected) found += " " + line;
  }
  const std::string model = model_->has_ended() ? "ended" : drawing_of(*model_);
  const std::string real = real_->is_alive() ? drawing_of(*real_) : "ended";
  if (model != real) found += "; children: " + real + "; expected: " + model;
  if (is_over_ || real != "ended") return found;
  if (real_->exit_reason() != ExitReason::shutdown()) found += "; it is no shutdown";
  return found;
}

/// Returns what went wrong with a seed, or nothing.
std::string run(unsigned seed, unsigned steps) {
  Race race{seed};
  std::string wrong = race.difference();
  for (unsigned step = 1; step <= steps && wrong.empty(); ++step) {
    const bool goes_on = race.step();
    wrong = race.difference();
    if (!wrong.empty()) return fmt::format("seed {}, step {}: {}", seed, step, wrong);
    if (!goes_on) return {};
  }
  race.stop();
  return wrong + race.difference();
}

}  // namespace

TEST_CASE("a tree of supervisors does what OTP's rules say, whatever happens to it",
          "[otp][supervisor_model]") {
  for (unsigned seed = 1; seed <= 60; ++seed) CHECK(run(seed, 12) == "");
}

TEST_CASE("a thousand trees of supervisors do what OTP's rules say",
          "[otp][supervisor_model][stress][.stress]") {
  for (unsigned seed = 1001; seed <= 2000; ++seed) CHECK(run(seed, 25) == "");
}
