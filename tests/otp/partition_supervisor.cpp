// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/partition_supervisor.hpp>

#include <support/catch.hpp>
#include <support/gate.hpp>
#include <support/report_log.hpp>
#include <support/thrown.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

class Store : public GenServer<int> {
 public:
  explicit Store(int value = 0) : GenServer{{.name = "store"}, value} {}
  int value() const {
    return call([](int& value) { return value; });
  }
};

class Numbered : public GenServer<std::size_t> {
 public:
  Numbered(Partition own, std::size_t offset) : GenServer{{}, own.index + offset} {}
  std::size_t number() const {
    return call([](std::size_t& number) { return number; });
  }
};

}  // namespace

TEST_CASE("an integer meets the copy with its magnitude modulo their number",
          "[otp][partition_supervisor]") {
  const PartitionSupervisor<Numbered> numbered{{.partitions = 3}, std::size_t{0}};

  CHECK(numbered.partitions() == 3);
  CHECK(numbered.at(0)->number() == 0);
  CHECK(numbered.at(1)->number() == 1);
  CHECK(numbered.at(2)->number() == 2);
  CHECK(numbered.at(3)->number() == 0);
  CHECK(numbered.at(-1)->number() == 1);
  CHECK(numbered.at(18446744073709551615U)->number() == 0);
  CHECK(numbered.at(true)->number() == 1);
}

TEST_CASE("each copy is made from the same arguments, and told which it is",
          "[otp][partition_supervisor]") {
  const PartitionSupervisor<Store> stores{{.partitions = 2}, 7};
  const PartitionSupervisor<Numbered> numbered{{.partitions = 2}, std::size_t{10}};

  CHECK(stores.at(0)->value() == 7);
  CHECK(stores.at(1)->value() == 7);
  CHECK(numbered.at(1)->number() == 11);
}

TEST_CASE("equal keys meet the same copy, and many keys meet all of them",
          "[otp][partition_supervisor]") {
  const PartitionSupervisor<Numbered> numbered{{.partitions = 4}, std::size_t{0}};
  std::vector<int> met(4, 0);
  static const std::vector<int> places(64);

  CHECK(numbered.at("milk") == numbered.at(std::string{"milk"}));
  for (const int& place : places) ++met[numbered.at(&place)->number()];
  for (int number = 0; number < 64; ++number) ++met[numbered.at(std::to_string(number))->number()];

  for (const int count : met) CHECK(count > 0);
}

TEST_CASE("without a number there are as many copies as the machine has cores",
          "[otp][partition_supervisor]") {
  const PartitionSupervisor<Store> stores{};

  CHECK(stores.partitions() == std::max(1U, std::thread::hardware_concurrency()));
  CHECK(stores.active() == stores.partitions());
  CHECK(stores.count_children().active == stores.partitions());
}

TEST_CASE("a resized supervisor runs as many copies as it was told",
          "[otp][partition_supervisor]") {
  PartitionSupervisor<Store> stores{{.partitions = 8}};
  const auto active = GENERATE(std::vector<std::size_t>{4, 2, 1}, std::vector<std::size_t>{0, 8, 3},
                               std::vector<std::size_t>{8, 8, 5, 0, 1});

  for (const std::size_t count : active) {
    stores.resize(count);
    CHECK(stores.active() == count);
    CHECK(stores.count_children() == ChildCounts{8, count, 0, 8});
    for (std::size_t key = 0; key < 16 && count != 0; ++key) CHECK(stores.at(key).is_running());
  }
}

TEST_CASE("a supervisor that was resized to nothing has no copy for any key",
          "[otp][partition_supervisor]") {
  PartitionSupervisor<Store> stores{{.name = "stores", .partitions = 8}};
  stores.resize(0);

  const auto error = thrown<ChildError>([&] { static_cast<void>(stores.at(1)); });
  REQUIRE(error);
  CHECK(error->kind() == ChildError::Kind::not_found);
  CHECK(std::string{error->what()} == "partition supervisor \"stores\" has no active partition");
}

TEST_CASE("there cannot be more copies than at the start", "[otp][partition_supervisor]") {
  PartitionSupervisor<Store> stores{{.partitions = 8}};

  CHECK_THROWS_AS(stores.resize(9), InvalidArgument);
  CHECK(stores.active() == 8);
  CHECK(stores.count_children().active == 8);
}

TEST_CASE("a copy that crashes is restarted alone", "[otp][partition_supervisor]") {
  const ReportLog log;
  const PartitionSupervisor<Store> stores{{.partitions = 2}};
  const auto crashed = stores.at(0).ref();
  const auto other = stores.at(1).ref();

  crashed.cast([] { throw std::runtime_error{"crashed"}; });
  crashed.wait();

  CHECK(stores.at(0).wait_until_running(10s));
  CHECK(stores.at(0).ref() != crashed);
  CHECK(stores.at(1).ref() == other);
}

TEST_CASE("keys find a copy while others resize", "[otp][partition_supervisor]") {
  PartitionSupervisor<Store> stores{{.partitions = 4}, 1};
  std::atomic<bool> is_over{false};
  std::vector<std::thread> resizing;
  for (std::size_t thread = 0; thread < 2; ++thread) {
    resizing.emplace_back([&, thread] {
      for (std::size_t round = 0; round < 50; ++round) stores.resize(1 + (round + thread) % 4);
      is_over = true;
    });
  }
  int answers = 0;
  int gone = 0;

  for (int key = 0; !is_over; ++key) {
    try {
      answers += stores.at(key)->value();
    } catch (const ServerGone&) {  // it was stopped between at() and the call
      ++gone;
    }
  }
  for (std::thread& thread : resizing) thread.join();

  CHECK(answers + gone > 0);
  stores.resize(4);
  CHECK(stores.count_children().active == 4);
}

TEST_CASE("a supervisor may be killed while it resizes", "[otp][partition_supervisor]") {
  struct Gates {
    Gate entered{};
    Gate left{};
  };
  struct Closing {
    std::shared_ptr<Gates> gates;  // a copy may end after the test
    void terminate(const ExitReason&) const {
      gates->entered.open();
      gates->left.wait();
    }
  };
  const ReportLog log;
  const auto gates = std::make_shared<Gates>();
  PartitionSupervisor<GenServer<Closing>> stores{{.partitions = 4}, Options{}, gates};
  bool is_gone = false;
  std::thread resizing{[&] {
    try {
      stores.resize(2);
    } catch (const ServerGone&) {
      is_gone = true;
    }
  }};

  gates->entered.wait();
  stores.kill();
  resizing.join();
  gates->left.open();

  CHECK(is_gone);
}
