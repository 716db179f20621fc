// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/version.hpp>

#include <support/catch.hpp>

#include <string>

TEST_CASE("a program can ask for a version before it compiles", "[base][version]") {
#if GENSERVER_VERSION >= 100
  const bool new_enough = true;
#else
  const bool new_enough = false;
#endif

  CHECK(new_enough);
}

TEST_CASE("the build carries the version of the header", "[base][version]") {
  const std::string header = std::to_string(genserver::version_major) + "." +
                             std::to_string(genserver::version_minor) + "." +
                             std::to_string(genserver::version_patch);

  CHECK(header == PROJECT_VERSION);
}
