// SPDX-License-Identifier: BSL-1.0
// A child's arguments stay as they are, for its next start.
#include <genserver/genserver.hpp>

#include <string>

class Account : public genserver::GenServer<std::string> {
 public:
  explicit Account(const std::string& owner) : GenServer({}, owner) {}
};

class Cuckoo : public genserver::GenServer<std::string> {
 public:
  explicit Cuckoo(std::string&& owner) : GenServer({}, owner) {}
};

void use(genserver::Supervisor& supervisor) {
  supervisor.start_child<Account>({.id = "account"}, std::string{"Ann"});
#ifdef GENSERVER_MUST_FAIL
  supervisor.start_child<Cuckoo>({.id = "account"}, std::string{"Ann"});
#endif
}

// error: T cannot be made from these arguments, which it gets as const at every start
