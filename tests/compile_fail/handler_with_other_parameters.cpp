// SPDX-License-Identifier: BSL-1.0
// A handler takes the State of its server by reference, and nothing else.
#include <genserver/genserver.hpp>

#include <chrono>
#include <string>

void use(genserver::GenServer<std::string>& title, int times) {
  title.cast([times](std::string& text) { text.append(static_cast<std::size_t>(times), '!'); });
  title.call([](std::string text) { return text + "!"; });
#ifdef GENSERVER_MUST_FAIL
  const auto counts = [n = 0](std::string& text) mutable { text += std::to_string(++n); };
  title.call(counts);
  title.call([](int& n) { ++n; });
  title.cast([](std::string& text, int n) { text.append(n, '!'); });
  title.cast([](std::string& text, int n) { text.append(n, '!'); }, times);
  title.call([](std::string& text, int n) { return text.append(n, '!'); }, times);
  title.call_for(std::chrono::seconds{1}, [](int& n) { ++n; });
  title.continue_with([](int& n) { ++n; });
  title.call_when([](std::string& text) { return text.empty(); }, [] {});
  title.call_when([](const std::string&) {}, [] {});
  title.call_when([](const std::string& text) { return text.empty(); }, [](int& n) { ++n; });
  title.call([](std::string text) { text += "!"; });
#endif
}

// only error: this handler changes what it has captured, so it cannot be const
// only error: a handler takes this server's State& or nothing
// only error: a handler takes this server's State& or nothing
// only error: one handler is sent, and nothing with it
// only error: one handler is sent, and nothing with it
// only error: a handler takes this server's State& or nothing
// only error: a handler takes this server's State& or nothing
// only error: a guard takes const State&, which it cannot change
// only error: a guard takes const State&, which it cannot change
// only error: what a guard guards is a handler
// only error: this handler takes State by value, so it would change a copy
