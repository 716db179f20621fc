// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/platform/stop_token.hpp>

#include <support/catch.hpp>

#include <optional>
#include <thread>

using namespace genserver;

// stop_token_fallback.cpp includes this file after it has taken the standard's classes away.
#ifndef STOP_TOKENS  // else this is stop_token_fallback.cpp
#define STOP_TOKENS "the library's stop tokens"
#endif

TEST_CASE(STOP_TOKENS " tell all of one wish to stop", "[sync][stop_token]") {
  StopSource source;
  const StopToken token = source.get_token();
  CHECK(token.stop_possible());
  CHECK_FALSE(token.stop_requested());
  CHECK_FALSE(StopToken{}.stop_possible());
  CHECK_FALSE(StopToken{}.stop_requested());

  StopSource copy = source;
  CHECK(copy.request_stop());
  CHECK_FALSE(source.request_stop());

  CHECK(token.stop_requested());
}

TEST_CASE(STOP_TOKENS " call back once, at the wish or at once", "[sync][stop_token]") {
  StopSource source;
  int calls = 0;
  const StopCallback before{source.get_token(), [&] { ++calls; }};
  const StopCallback never{StopToken{}, [&] { calls += 100; }};
  CHECK(calls == 0);

  source.request_stop();
  CHECK(calls == 1);

  const StopCallback after{source.get_token(), [&] { ++calls; }};
  CHECK(calls == 2);
}

TEST_CASE(STOP_TOKENS " do not call back what is gone", "[sync][stop_token]") {
  StopSource source;
  int calls = 0;
  {
    const StopCallback gone{source.get_token(), [&] { ++calls; }};
  }

  source.request_stop();

  CHECK(calls == 0);
}

TEST_CASE(STOP_TOKENS " let a callback destroy itself and others", "[sync][stop_token]") {
  StopSource source;
  int calls = 0;
  std::optional<StopCallback> first;
  std::optional<StopCallback> second;
  const auto destroy_both = [&] {
    ++calls;
    first.reset();
    second.reset();
  };
  first.emplace(source.get_token(), destroy_both);
  second.emplace(source.get_token(), destroy_both);

  source.request_stop();

  CHECK(calls == 1);
}

TEST_CASE(STOP_TOKENS " wait for a callback that runs elsewhere", "[sync][stop_token]") {
  for (int round = 0; round < 200; ++round) {
    StopSource source;
    bool is_done = false;
    std::optional<StopCallback> callback;
    callback.emplace(source.get_token(), [&] { is_done = true; });
    std::thread other{[&] { source.request_stop(); }};

    callback.reset();
    is_done = true;  // no race: it has returned, or never runs
    other.join();

    CHECK(is_done);
  }
}
