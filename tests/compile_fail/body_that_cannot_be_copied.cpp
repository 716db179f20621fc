// SPDX-License-Identifier: BSL-1.0
// The body of a method is copied.
#include <genserver/genserver.hpp>

#include <memory>

void use(const genserver::BehaviourServer& server) {
  server.call("put", std::make_shared<int>(1));
#ifdef GENSERVER_MUST_FAIL
  server.call("put", std::make_unique<int>(1));
#endif
}

// error: the body of a method must be a value that can be copied
