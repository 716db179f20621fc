// SPDX-License-Identifier: BSL-1.0
// A handler that answers later takes a Reply of what the call returns, and the call names that.
#include <genserver/genserver.hpp>

#include <chrono>
#include <string>

using genserver::Reply;

std::string use(genserver::GenServer<int>& counter) {
#ifdef GENSERVER_MUST_FAIL
  const std::chrono::seconds time{1};
  counter.call<std::string>([](int&, Reply<int> reply) { reply.reply(1); });
  counter.call<int>([](int& n) { return n; });
  counter.call<int>([](int&, std::string) {});
  counter.call([](int&, Reply<int> reply) { reply.reply(1); });
  counter.call_for<std::string>(time, [](int&, Reply<int> reply) { reply.reply(1); });
  counter.async_call<int>([](int& n) { return n; });
  counter.async_call([](int&, Reply<int> reply) { reply.reply(1); });
#endif
  return counter.call<std::string>(
      [](int& n, Reply<std::string> reply) { reply.reply(std::to_string(n)); });
}

// only error: the R of the handler's Reply<R> is not the one that the call names
// only error: one that returns its answer is called without: call(handler)
// only error: with <R> a handler takes State& and Reply<R>
// only error: a handler that takes a Reply<R> is sent by call<R>(handler)
// only error: the R of the handler's Reply<R> is not the one that the call names
// only error: one that returns its answer is called without: call(handler)
// only error: a handler that takes a Reply<R> is sent by call<R>(handler)
