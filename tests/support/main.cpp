// SPDX-License-Identifier: BSL-1.0
// The main function of every test program, and what else is compiled once for all of them.
#include <support/symbolize_once.hpp>

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

template genserver::StackTrace genserver::detail::symbolized(const genserver::RawStack& stack);

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
