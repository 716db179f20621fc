// A ticker that runs in the background until it is halted, and a service that fails.
#include <genserver/genserver.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>

using namespace std::chrono_literals;
using genserver::Service;
using genserver::ServiceContext;

int main() {
  genserver::set_report_sink([](const genserver::Report&) {});  // main tells of the failure itself
  int ticks = 0;  // what services use outlives their runner
  genserver::FailureListener failures;
  genserver::Runner runner{{.on_end = failures}};
  const genserver::ShutdownGuard guard{runner, 10s};  // reports who does not halt in time

  const Service ticker{"ticker", [&](ServiceContext& context) {
    std::puts("ticker: getting ready");
    context.ready();                                 // start() returns
    while (!context.sleep_for(1ms)) ++ticks;         // wakes up as soon as it has to halt
    std::puts("ticker: halting");
  }};
  const Service printer{"printer", [](ServiceContext& context) {
    context.ready();
    throw std::runtime_error{"out of paper"};
  }};
  const Service web{"web", [](ServiceContext&) { throw std::runtime_error{"port 80 is taken"}; }};

  runner.start_for(5s, ticker);
  std::printf("the ticker is %s\n", to_string(runner.state(ticker)));

  runner.start(printer);
  const genserver::ServiceEnd end = failures.take();
  std::printf("%s: %s\n", end.service.name().c_str(), end.reason.what().c_str());

  try {
    runner.start(web);
  } catch (const genserver::ServiceError& error) {
    std::printf("%s\n", error.what());
  }

  runner.halt_for(5s, ticker);
  std::printf("the ticker is %s\n", to_string(runner.state(ticker)));
}

// Output:
// ticker: getting ready
// the ticker is started
// printer: exception: out of paper
// service "web" failed: port 80 is taken
// ticker: halting
// the ticker is halted
