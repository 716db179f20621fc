// SPDX-License-Identifier: BSL-1.0
// Runs the models: all of them, one suite, or the suites that have to find a mutant.
//   models [suite <name> [runs] | mutant <name> [runs]]
#include <models/mutant.hpp>
#include <models/suite.hpp>

#include <models/futex.hpp>

#include <iostream>
#include <memory>
#include <string>
#include <string_view>

namespace model {
namespace {

const Plan* current = nullptr;
bool is_exhaustive = false;

// What Relacy makes anew for each run.
template <int threads>
struct Run : rl::test_suite<Run<threads>, threads> {
  Run() {
    Futex::instance().begin(current->is_timed, !is_exhaustive);
    suite = current->make();
  }
  void thread(rl::thread_id_t index) { suite->run(index); }
  void after() { suite->check(); }

  std::unique_ptr<Suite> suite{};
};

template <int threads>
bool simulate(rl::test_params& parameters) {
  return rl::simulate<Run<threads>>(parameters);
}

// Returns whether all runs were good; tells what happened in `story`.
bool run(const Plan& plan, rl::test_params parameters, std::ostream& story) {
  current = &plan;
  parameters.output_stream = &story;
  parameters.progress_stream = &story;
  parameters.execution_depth_limit = 10'000;
  switch (plan.threads) {
    case 2: return simulate<2>(parameters);
    case 3: return simulate<3>(parameters);
    case 4: return simulate<4>(parameters);
    default: return false;
  }
}

bool run_random(const Plan& plan, unsigned runs, std::ostream& story) {
  is_exhaustive = false;
  rl::test_params parameters;
  parameters.iteration_count = runs;
  return run(plan, parameters, story);
}

bool run_all_orders(const Plan& plan, std::ostream& story) {
  is_exhaustive = true;
  rl::test_params parameters;
  parameters.search_type = rl::sched_bound;
  parameters.context_bound = plan.switches;
  return run(plan, parameters, story);
}

bool run(const Plan& plan, unsigned runs, std::ostream& story) {
  return run_random(plan, runs, story) && (plan.switches == 0 || run_all_orders(plan, story));
}

bool pass(const Plan& plan, unsigned runs) {
  std::cout << "suite " << plan.name << '\n';
  rl::ostringstream story;
  const bool is_good = run(plan, runs, story);
  const rl::string text = story.str();
  std::cout << text.substr(text.find('\n') + 1)  // without Relacy's name for it
            << (is_good ? "passed" : "FAILED") << std::endl;
  return is_good;
}

// Returns whether one of its suites finds the mutant.
bool is_found(const Mutant& mutant, unsigned runs) {
  std::cout << "mutant " << mutant.name << ": ";
  if (!mutant.problem.empty()) {
    std::cout << mutant.problem << '\n';
    return false;
  }
  bool is_known = false;
  bool is_found = false;
  active_mutant = mutant.number;
  for (const Plan& plan : plans()) {
    rl::ostringstream story;
    if (plan.name != mutant.suite) continue;
    is_known = true;
    is_found = !run(plan, runs != 0 ? runs : plan.runs, story);
    const rl::string text = story.str();
    const auto at = text.find("iteration: ");
    std::cout << (is_found ? "found by " : "SURVIVES ") << plan.name << ", "
              << (is_found && at != text.npos ? text.substr(at, text.find('\n', at) - at) : "")
              << std::endl;
  }
  active_mutant = -1;
  if (!is_known) std::cout << "there is no suite " << mutant.suite << '\n';
  return is_found;
}

int run_some(std::string_view what, std::string_view name, unsigned runs) {
  int count = 0;
  bool is_good = true;
  for (const std::string_view problem : problems) {
    if (problem.empty()) continue;
    std::cout << problem << '\n';
    is_good = false;
  }
  for (const Plan& plan : plans()) {
    if (what == "mutant" || (!name.empty() && name != plan.name)) continue;
    ++count;
    is_good = pass(plan, runs != 0 ? runs : plan.runs) && is_good;
  }
  for (const Mutant& mutant : mutants) {
    if (what == "suite" || (!name.empty() && name != mutant.name)) continue;
    ++count;
    is_good = is_found(mutant, runs) && is_good;
  }
  if (count == 0) std::cout << "there is no " << what << ' ' << name << '\n';
  return is_good && count > 0 ? 0 : 1;
}

}  // namespace
}  // namespace model

int main(int count, char** arguments) {
  const auto argument = [&](int i) { return std::string{i < count ? arguments[i] : ""}; };
  const std::string runs = argument(3);
  return model::run_some(argument(1), argument(2),
                         static_cast<unsigned>(std::stoul(runs.empty() ? "0" : runs)));
}
