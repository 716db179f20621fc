// SPDX-License-Identifier: BSL-1.0
// A handler that answers later takes a Reply of what the call returns.
#include <genserver/genserver.hpp>

#include <string>

std::string use(genserver::GenServer<int>& counter) {
#ifdef GENSERVER_MUST_FAIL
  counter.call<std::string>([](int&, genserver::Reply<int> reply) { reply.reply(1); });
#endif
  return counter.call<std::string>(
      [](int& n, genserver::Reply<std::string> reply) { reply.reply(std::to_string(n)); });
}

// error: DeferredHandlerOf
