// SPDX-License-Identifier: BSL-1.0
#include <genserver/otp/service.hpp>

#include <support/catch.hpp>
#include <support/gate.hpp>
#include <support/thrown.hpp>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

/// A run that does nothing but remember.
struct Control final : ServiceControl {
  bool ready() override { return ++readies, !token.stop_requested(); }
  void on_error(std::exception_ptr error) override { errors.push_back(describe(error)); }
  const StopToken& stop_token() const noexcept override { return token; }
  const Service& service() const noexcept override { return own; }
  const AnyRef& server() const noexcept override { return ref; }
  Runner& runner() const override { throw InvalidArgument{"none"}; }

  StopSource source{};
  StopToken token = source.get_token();
  Service own{"ticker", [](ServiceContext&) {}};
  AnyRef ref{};
  int readies = 0;
  std::vector<std::string> errors{};
};

}  // namespace

TEST_CASE("copies of a service are the same one, others with its name are not",
          "[otp][service]") {
  const Service service{"ticker", [](ServiceContext&) {}};
  const Service copy = service;
  const Service other{"ticker", [](ServiceContext&) {}};

  CHECK(copy == service);
  CHECK(copy.hash() == service.hash());
  CHECK(std::hash<Service>{}(copy) == service.hash());
  CHECK(copy.name() == "ticker");
  CHECK_FALSE(other == service);
}

TEST_CASE("a service without a function is refused, as are options without sense",
          "[otp][service]") {
  const auto error = thrown<InvalidArgument>([] { Service{"ticker", Service::Run{}}; });
  REQUIRE(error.has_value());
  CHECK(has(error->what(), "ticker"));
  CHECK_THROWS_AS((Service{Options{.name = "x", .mailbox_capacity = 0}, [](ServiceContext&) {}}),
                  InvalidArgument);
}

TEST_CASE("a service is never stuck, however long it runs", "[otp][service]") {
  const Service service{Options{.name = "ticker", .stuck_after = 1s}, [](ServiceContext&) {}};

  CHECK(service.options().stuck_after == 0s);
}

TEST_CASE("an object with a function run is a service, and kept by it", "[otp][service]") {
  struct Ticker {
    void run(ServiceContext& context) { is_halted = context.should_halt(); }
    bool is_halted = true;
  };
  auto ticker = std::make_shared<Ticker>();
  const Service service{"ticker", ticker};
  ServiceContext context{std::make_shared<Control>()};

  service.run(context);

  CHECK_FALSE(ticker->is_halted);
  CHECK(ticker.use_count() == 2);
}

TEST_CASE("a context passes on what it is told, and answers", "[otp][service]") {
  const auto control = std::make_shared<Control>();
  ServiceContext context{control};

  CHECK(context.ready());
  context.on_error(std::runtime_error{"first"});
  context.on_error(std::make_exception_ptr(std::runtime_error{"second"}));

  CHECK(control->readies == 1);
  CHECK(control->errors == std::vector<std::string>{"first", "second"});
  CHECK(context.service() == control->own);
  CHECK_THROWS_AS(context.runner(), InvalidArgument);
}

TEST_CASE("a sleep that nobody ends takes its time", "[otp][service]") {
  const ServiceContext context{std::make_shared<Control>()};
  const auto before = std::chrono::steady_clock::now();

  CHECK_FALSE(context.sleep_for(5ms));

  CHECK(std::chrono::steady_clock::now() - before >= 5ms);
  CHECK_FALSE(context.should_halt());
}

TEST_CASE("a sleep of any length ends when the service has to halt", "[otp][service]") {
  const auto control = std::make_shared<Control>();
  const ServiceContext context{control};
  std::thread other{[&] { control->source.request_stop(); }};

  CHECK(context.sleep_for(std::chrono::hours{24 * 365 * 200}));
  other.join();

  CHECK(context.should_halt());
  CHECK(context.sleep_for(1h));
  context.await_halt();
}

TEST_CASE("copies of a context may sleep in other threads", "[otp][service]") {
  const auto control = std::make_shared<Control>();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([context = ServiceContext{control}] { context.await_halt(); });
  }

  control->source.request_stop();

  for (std::thread& thread : threads) thread.join();
  CHECK(control->token.stop_requested());
}

#if defined(__cpp_lib_jthread)

TEST_CASE("std::condition_variable_any waits with the context's stop token", "[otp][service]") {
  const auto control = std::make_shared<Control>();
  const ServiceContext context{control};
  Gate waits;
  std::thread other{[&] {
    waits.wait();
    control->source.request_stop();
  }};
  std::mutex mutex;
  std::condition_variable_any news;

  std::unique_lock lock{mutex};
  waits.open();
  const bool has_news = news.wait(lock, context.stop_token(), [] { return false; });
  other.join();

  CHECK_FALSE(has_news);
}

#endif

TEST_CASE("an object that is not there is refused", "[otp][service]") {
  struct Ticker {
    void run(ServiceContext& context) { context.ready(), ++runs; }
    int runs = 0;
  };
  CHECK_THROWS_AS((Service{"ticker", std::shared_ptr<Ticker>{}}), InvalidArgument);
}

TEST_CASE("an error that is told of in a catch block is whole", "[otp][service]") {
  const auto control = std::make_shared<Control>();
  ServiceContext context{control};
  try {
    throw std::runtime_error{"disk is full"};
  } catch (const std::exception& error) {
    context.on_error(error);
    context.on_error();
    context.on_error(std::logic_error{"another one"});
  }

  CHECK(control->errors == std::vector<std::string>{"disk is full", "disk is full", "another one"});
}
