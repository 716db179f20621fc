// SPDX-License-Identifier: BSL-1.0
// A child's arguments are copied, for its next start.
#include <genserver/genserver.hpp>

#include <memory>

class Counter : public genserver::GenServer<int> {
 public:
  explicit Counter(const std::shared_ptr<int>& start) : GenServer({}, *start) {}
  explicit Counter(const std::unique_ptr<int>& start) : GenServer({}, *start) {}
};

void use(genserver::Supervisor& supervisor) {
  supervisor.start_child<Counter>({.id = "counter"}, std::make_shared<int>(1));
#ifdef GENSERVER_MUST_FAIL
  supervisor.start_child<Counter>({.id = "counter"}, std::make_unique<int>(1));
#endif
}

// error: a child is started again with copies of its arguments, so they must be copyable
