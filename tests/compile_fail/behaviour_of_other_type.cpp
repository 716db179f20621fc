// SPDX-License-Identifier: BSL-1.0
// listen<T>() is for a T that handles methods by name.
#include <genserver/genserver.hpp>

struct Echo : genserver::Behaviour {
  std::any handle(std::string_view, std::uint64_t, const std::any& body) override { return body; }
};
struct Stranger {};

void use() {
  const auto echo = genserver::listen<Echo>();
#ifdef GENSERVER_MUST_FAIL
  const auto stranger = genserver::listen<Stranger>();
#endif
}

// error: listen<T>() is for a T that derives publicly from Behaviour
