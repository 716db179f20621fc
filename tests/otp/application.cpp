// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/application.hpp>

#include <genserver/otp/dynamic_supervisor.hpp>
#include <genserver/otp/supervisor.hpp>

#include <support/catch.hpp>
#include <support/child_process.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

using Words = std::vector<std::string>;

/// What has happened, in order.
class Diary {
 public:
  void add(const std::string& word) {
    const std::scoped_lock lock{mutex_};
    words_.push_back(word);
  }
  [[nodiscard]] Words words() {
    const std::scoped_lock lock{mutex_};
    return words_;
  }

 private:
  std::mutex mutex_{};
  Words words_{};  // guarded by mutex_
};

/// A server that notes its beginning and its end; its end waits until the gate is open.
struct Worker {
  Worker(std::string word, std::shared_ptr<Diary> kept, std::shared_ptr<Gate> opened = nullptr)
      : name{std::move(word)}, diary{std::move(kept)}, gate{std::move(opened)} {
    diary->add("start " + name);
  }
  void terminate(const ExitReason&) {
    diary->add("stop " + name);
    if (gate) gate->wait();
  }
  std::string name;
  std::shared_ptr<Diary> diary;
  std::shared_ptr<Gate> gate;
};

/// One whose start waits instead.
struct SlowStarter {
  SlowStarter(const std::shared_ptr<Gate>& entered, const std::shared_ptr<Gate>& left) {
    entered->open();
    left->wait();
  }
};

using WorkerServer = GenServer<Worker>;
using SlowServer = GenServer<SlowStarter>;

/// Opens a gate for those who were left behind, and waits for their threads.
struct Release {
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  std::vector<AnyRef> left{};
  ~Release() {
    gate->open();
    for (const AnyRef& each : left) {
      eventually([&] {
        return each.callee().record().life() != ServerRecord::Life::abandoned;
      });
    }
  }
};

/// Keeps a supervisor busy with the start of a child until the gate is open.
class HangingStart {
 public:
  HangingStart(const Supervisor& supervisor, const std::shared_ptr<Gate>& left)
      : thread_{[this, ref = &supervisor, left] {
          try {
            ref->start_child<SlowServer>({.id = "slow"}, Options{.name = "slow"}, entered_, left);
          } catch (const ServerGone&) {  // it was killed meanwhile
          }
        }} {
    entered_->wait();
  }
  ~HangingStart() { thread_.join(); }
  HangingStart(const HangingStart&) = delete;
  HangingStart& operator=(const HangingStart&) = delete;

 private:
  const std::shared_ptr<Gate> entered_ = std::make_shared<Gate>();
  std::thread thread_;
};

template <class... Args>
ChildDefinition worker(const std::string& id, const Args&... args) {
  return child<WorkerServer>({.id = id}, Options{.name = id}, id, args...);
}

std::vector<std::string> names(const std::vector<AnyRef>& servers) {
  std::vector<std::string> names;
  for (const AnyRef& server : servers) names.push_back(server.name());
  return names;
}

}  // namespace

TEST_CASE("a signal stops the tree in reverse order, and the status is 0", "[otp][application]") {
  const auto diary = std::make_shared<Diary>();
  for (const int signal : {SIGTERM, SIGINT}) {
    Application application;
    Supervisor tree{{}, worker("a", diary), worker("b", diary)};
    std::thread sender{[&] { std::raise(signal); }};

    CHECK(application.run(tree) == 0);
    sender.join();

    CHECK(*tree.exit_reason() ==
          ExitReason::shutdown(TerminationSignals::name_of(signal)));
    CHECK(application.killed().empty());
  }
  const Words once{"start a", "start b", "stop b", "stop a"};
  Words twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  CHECK(diary->words() == twice);
}

TEST_CASE("a signal that comes before run is remembered", "[otp][application]") {
  Application application;
  CHECK_FALSE(application.is_stopping());
  std::raise(SIGTERM);
  Supervisor tree;

  CHECK(application.run(tree) == 0);

  CHECK(application.is_stopping());
  CHECK(*tree.exit_reason() == ExitReason::shutdown("SIGTERM"));
}

TEST_CASE("a signal while the tree is being started stops what has started",
          "[otp][application]") {
  struct Signalling {
    Signalling() { std::raise(SIGINT); }
  };
  const auto diary = std::make_shared<Diary>();
  Application application;
  Supervisor tree{{}, worker("a", diary), child<GenServer<Signalling>>({.id = "signalling"}),
                  worker("b", diary)};

  CHECK(application.run(tree) == 0);

  CHECK(diary->words() == Words{"start a", "start b", "stop b", "stop a"});
}

TEST_CASE("a handler may ask the application to stop, and the first who asks gives the reason",
          "[otp][application]") {
  Application application;
  Supervisor tree;
  const auto counter = tree.start_child<GenServer<int>>({.id = "counter"}, Options{}, 0);
  counter->cast([&](int&) {
    application.request_stop(ExitReason::shutdown("no more orders"));
    application.request_stop(ExitReason::shutdown("second"));
  });

  CHECK(application.run(tree) == 0);

  CHECK(*tree.exit_reason() == ExitReason::shutdown("no more orders"));
}

TEST_CASE("a tree that ends by itself ends run, and its reason decides about the status",
          "[otp][application]") {
  const ReportLog log;
  Application application;
  {
    Supervisor tree;
    std::thread stopper{[&] { tree.request_stop(); }};
    CHECK(application.run(tree) == 0);
    stopper.join();
  }
  {
    Supervisor tree;
    tree.kill();  // also if it has ended before
    CHECK(application.run(tree) == 1);
  }
  {
    Supervisor tree{{.auto_shutdown = AutoShutdown::any_significant},
                    child<GenServer<int>>({.id = "batch", .restart = Restart::transient,
                                           .significant = true}, Options{}, 0)};
    tree.child<GenServer<int>>("batch")->request_stop();
    CHECK(application.run(tree) == 0);
    CHECK(tree.exit_reason()->kind() == ExitReason::Kind::shutdown);
  }
  CHECK(application.killed().empty());
}

TEST_CASE("a tree that restarts too often ends run with 1", "[otp][application]") {
  const ReportLog log;
  Application application;
  Supervisor tree{{.max_restarts = 0}};
  const auto flaky = tree.start_child<GenServer<int>>({.id = "flaky"}, Options{}, 0);
  CHECK_FALSE(tree.has_given_up());

  flaky->cast([](int&) { throw std::runtime_error{"no connection"}; });

  CHECK(application.run(tree) == 1);
  CHECK(tree.has_given_up());
  CHECK_FALSE(application.is_stopping());
}

TEST_CASE("a child that hangs is killed at the limit, the others end in order",
          "[otp][application]") {
  const ReportLog log;
  Release release;
  const auto diary = std::make_shared<Diary>();
  Application application{{.shutdown = 20ms, .grace = 32s}};
  Supervisor tree{{}, worker("a", diary), worker("hanging", diary, release.gate),
                  worker("b", diary)};
  application.request_stop();

  CHECK(application.run(tree) == 1);

  release.left = application.killed();
  CHECK(names(release.left) == Words{"hanging"});
  CHECK(diary->words() == Words{"start a", "start hanging", "start b", "stop b", "stop hanging",
                                "stop a"});
  const auto abandoned = log.of(Report::Kind::abandoned);
  REQUIRE(abandoned.size() == 1);
  CHECK(abandoned[0].server == "hanging");
  CHECK_FALSE(abandoned[0].stacks.empty());
  REQUIRE(log.count(Report::Kind::supervisor) == 1);
  CHECK(log.of(Report::Kind::supervisor)[0].child == "hanging");
}

TEST_CASE("the limit holds for supervisors below supervisors", "[otp][application]") {
  const ReportLog log;
  Release release;
  const auto diary = std::make_shared<Diary>();
  Application application{{.shutdown = 20ms, .grace = 16s}};
  Supervisor tree;
  const auto middle = tree.start_child<Supervisor>({.id = "middle"});
  const auto sessions = middle->start_child<DynamicSupervisor>({.id = "sessions"});
  const auto shutdown = Shutdown::infinity();
  for (const std::string name : {"x", "y"}) {
    sessions->start_child<WorkerServer>({.shutdown = shutdown}, Options{.name = name}, name, diary,
                                        release.gate);
  }
  middle->start_child<WorkerServer>({.id = "last"}, Options{}, "last", diary);
  application.request_stop();

  CHECK(application.run(tree) == 1);

  release.left = application.killed();
  CHECK(names(release.left) == Words{"y", "x"});
  CHECK(log.count(Report::Kind::abandoned) == 2);
  CHECK(diary->words()[2] == "start last");
  CHECK(diary->words()[3] == "stop last");
}

TEST_CASE("the limit holds for what was being stopped before", "[otp][application]") {
  const ReportLog log;
  Release release;
  const auto diary = std::make_shared<Diary>();
  Application application{{.shutdown = 1ms, .grace = 16s}};
  Supervisor tree;
  tree.start_child<WorkerServer>({.id = "hanging", .shutdown = Shutdown::infinity()},
                                 Options{.name = "hanging"}, "hanging", diary, release.gate);
  std::thread admin{[&] { tree.terminate_child("hanging"); }};
  CHECK(eventually([&] { return diary->words().size() == 2; }));  // it hangs
  application.request_stop();

  CHECK(application.run(tree) == 1);
  admin.join();

  release.left = application.killed();
  CHECK(names(release.left) == Words{"hanging"});
  CHECK(*tree.exit_reason() == ExitReason::shutdown());
}

TEST_CASE("a tree that hangs itself is killed, and what it leaves ends", "[otp][application]") {
  const ReportLog log;
  Release release;
  const auto diary = std::make_shared<Diary>();
  Application application{{.shutdown = 1ms, .grace = 50ms}};
  Supervisor tree{{.name = "tree"}, worker("a", diary),
                  child<Supervisor>({.id = "below"}, SupervisorOptions{.name = "below"})};
  tree.child<Supervisor>("below")->start_child<WorkerServer>(
      {.id = "b", .shutdown = Shutdown::infinity()}, Options{.name = "b"}, "b", diary,
      release.gate);
  const HangingStart start{tree, release.gate};
  application.request_stop();

  CHECK(application.run(tree) == 1);

  CHECK(*tree.exit_reason() == ExitReason::killed());
  release.left = application.killed();
  Words killed = names(release.left);
  std::sort(killed.begin(), killed.end());
  CHECK(killed == Words{"a", "b", "below", "tree"});
  for (const AnyRef& each : release.left) CHECK_FALSE(each.is_alive());
}

TEST_CASE("an application that was asked to stop stops the next tree, too", "[otp][application]") {
  Application application;
  application.request_stop();
  for (int i = 0; i < 2; ++i) {
    Supervisor tree;
    CHECK(application.run(tree) == 0);
    CHECK_FALSE(tree.is_alive());
  }
}

TEST_CASE("run is for one at a time, and not for handlers", "[otp][application]") {
  Application application{{.name = "shop"}};
  Supervisor tree;
  bool is_told = false;
  GenServer<int> server{{}, 0};
  server.call([&](int&) {
    is_told = thrown<SelfWait>([&] { application.run(tree); }).has_value();
  });
  CHECK(is_told);

  std::thread other{[&] { application.run(tree); }};
  CHECK(eventually([&] {  // until the other one is there
    Supervisor ended;
    ended.stop();
    return thrown<InvalidArgument>([&] { application.run(ended); }).has_value();
  }));
  application.request_stop();
  other.join();
}

TEST_CASE("an application says what is wrong with it", "[otp][application]") {
  const auto negative = thrown<InvalidArgument>([] {
    Application{{.name = "shop", .shutdown = -1s}};
  });
  REQUIRE(negative);
  CHECK(has(negative->what(), "\"shop\""));
  CHECK(has(negative->what(), "shutdown"));
  CHECK_THROWS_AS(Application{{.grace = -1s}}, InvalidArgument);

  const Application first;
  CHECK_THROWS_AS(Application{}, InvalidArgument);
}

TEST_CASE("a shutdown that never ends can be waited for", "[otp][application]") {
  Application application{{.shutdown = std::chrono::nanoseconds::max(),
                           .grace = std::chrono::nanoseconds::max()}};
  Supervisor tree{{}, worker("a", std::make_shared<Diary>())};
  application.request_stop();

  CHECK(application.run(tree) == 0);
}

TEST_CASE("a signal, a request and the tree's own end may meet", "[otp][application]") {
  for (int round = 0; round < 50; ++round) {
    Application application;
    Supervisor tree{{}, child<GenServer<int>>({.id = "counter"}, Options{}, round)};
    std::thread own{[&] { tree.request_stop(); }};
    std::thread signal{[&] { std::raise(SIGTERM); }};
    std::thread request{[&] { application.request_stop(); }};

    CHECK(application.run(tree) == 0);

    for (std::thread* each : {&own, &signal, &request}) each->join();
    CHECK_FALSE(tree.exit_reason()->is_abnormal());
  }
}

namespace {

/// Hangs in a function whose name is in the reports.
struct Stubborn {
  [[gnu::noinline]] void terminate(const ExitReason&) {
    write_to_standard_error("stopping");
    Gate{}.wait();
  }
};

int run_stubborn() {
  ::alarm(60);
  Application application{{.name = "shop", .shutdown = 1h}};
  Supervisor tree{{}, child<GenServer<Stubborn>>({.id = "stubborn", .shutdown = 1h},
                                                 Options{.name = "stubborn"})};
  tell_parent("ready");
  return application.run(tree);
}

}  // namespace

TEST_CASE("a process that does not end", "[.child]") { run_stubborn(); }

TEST_CASE("a process whose reports do not end", "[.child]") {
  set_report_sink([](const Report&) {
    write_to_standard_error("reporting");
    Gate{}.wait();
  });
  run_stubborn();
}

TEST_CASE("a process that leaves a thread behind", "[.child]") {
  ::alarm(60);
  Application application{{.shutdown = 1ms}};
  Supervisor tree{{}, child<GenServer<Stubborn>>({.id = "stubborn"})};
  application.request_stop();
  CHECK(application.run(tree) == 1);
}

TEST_CASE("a second signal ends the process at once, with the stacks of what is busy",
          "[otp][application]") {
  ChildProcess child{"a process that does not end"};
  child.read_until("ready");
  child.send(SIGTERM);
  CHECK(has(child.read_until("stopping"), "stopping"));

  child.send(SIGINT);

  CHECK(child.status() == 128 + SIGINT);
  const std::string& output = child.read_all();
  CHECK(has(output, "stubborn:"));
  CHECK(has(output, "is stuck"));
  CHECK(has(output, "stack of stubborn:"));
  CHECK(has(output, "Stubborn::terminate"));
  CHECK(has(output, "stack of supervisor:"));
  CHECK(has(output, "shop was asked to end a second time, by SIGINT"));
}

TEST_CASE("a third signal ends the process though its reports hang", "[otp][application]") {
  ChildProcess child{"a process whose reports do not end"};
  child.read_until("ready");
  child.send(SIGTERM);
  child.read_until("stopping");
  child.send(SIGTERM);
  CHECK(has(child.read_until("reporting"), "reporting"));

  child.send(SIGTERM);

  CHECK(child.status() == 128 + SIGTERM);
}

TEST_CASE("a thread that is left behind does not keep the process from ending",
          "[otp][application]") {
  for (int round = 0; round < 3; ++round) {
    ChildProcess child{"a process that leaves a thread behind"};
    CHECK(child.status() == 0);
    CHECK(has(child.read_all(), "was abandoned"));
  }
}

TEST_CASE("a child that stops its own tree has ended when run() returns", "[otp][application]") {
  struct Shop {
    bool* is_closed;
    void terminate(const ExitReason&) const { *is_closed = true; }
  };
  const ReportLog log;
  bool is_closed = false;
  Application application;
  Supervisor tree{{}, child<GenServer<Shop>>({.id = "shop"}, Options{}, &is_closed)};

  tree.child<GenServer<Shop>>("shop")->cast([&tree](Shop&) { tree.stop(); });
  const int status = application.run(tree);

  CHECK(status == 0);
  CHECK(is_closed);
  CHECK(application.killed().empty());
  CHECK(log.count(Report::Kind::deadlock) == 0);
}
