// SPDX-License-Identifier: BSL-1.0
// The tests of stop_token.cpp, where the standard library has no stop tokens.
#include <version>

#undef __cpp_lib_jthread
#define STOP_TOKENS "the stop tokens that stand in for the standard's"
#include "stop_token.cpp"  // its first include is that of the header
