// SPDX-License-Identifier: BSL-1.0
// A program of a user: it compiles, links and runs with what the package gives.
#if defined(USE_MODULE)
import genserver;
#elif __has_include(<genserver.single.hpp>)
#include <genserver.single.hpp>
#else
#include <genserver/genserver.hpp>
#endif

int main() {
  genserver::GenServer<int> server{{.name = "package"}, 41};
  return server.call([](int& n) { return ++n; }) == 42 ? 0 : 1;
}
