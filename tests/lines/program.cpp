// SPDX-License-Identifier: BSL-1.0
// Calls itself in all the ways that a backtrace has to tell apart. It is compiled in many ways, so
// it is small.
#include "check.hpp"

#include <iterator>

// With -g1 the compiler does not tell what an inlined function is a member of.
#ifdef ONLY_LINES
constexpr const char* name_of_inlined = "inlined";
#else
constexpr const char* name_of_inlined = "(anonymous namespace)::Shop::inlined";
#endif

namespace {

unsigned lines[4];
volatile int depth = 0;

[[gnu::noinline]] void compiled() {
  ExpectedFrame frames[] = {{"compiled", 0, false},
                            {name_of_inlined, lines[0], true},
                            {"Shop::sell", lines[1], false},
                            {"operator()", lines[2], true},
                            {"main", lines[3], false}};
  frames[0].line = __LINE__ + 1;
  check_backtrace(std::begin(frames), std::end(frames), "program.cpp");
  depth = depth + 1;  // so that the call is none that does not return
}

struct Shop {
  [[gnu::always_inline]] void inlined() {
    lines[0] = __LINE__ + 1;
    compiled();
    depth = depth + 1;
  }
  [[gnu::noinline]] void sell() {
    lines[1] = __LINE__ + 1;
    inlined();
    depth = depth + 1;
  }
};

}  // namespace

int main() {
  Shop shop;
  const auto customer = [&shop]() __attribute__((always_inline)) {
    lines[2] = __LINE__ + 1;
    shop.sell();
    depth = depth + 1;
  };
  lines[3] = __LINE__ + 1;
  customer();
  return depth == 4 ? 0 : 1;
}
