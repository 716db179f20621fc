// SPDX-License-Identifier: BSL-1.0
// Two translation units include everything, link, and mean the same server by GenServer<int>.
#include <genserver/genserver.hpp>
#include <genserver/genserver.hpp>  // a second time: every header guards itself

using IsAlive = bool (genserver::GenServer<int>::*)() const;

IsAlive second_is_alive();
int second_increment(genserver::GenServer<int>& server);

int main() {
  genserver::GenServer<int> server{{.name = "odr"}, 40};
  const bool same = second_is_alive() == IsAlive{&genserver::GenServer<int>::is_alive};
  const int first = server.call([](int& n) { return ++n; });
  return same && first == 41 && second_increment(server) == 42 ? 0 : 1;
}
