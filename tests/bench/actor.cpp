// SPDX-License-Identifier: BSL-1.0
// Measures the hand-written actor, unbounded and bounded.
#include <bench/measures.hpp>
#include <bench/peers/actor.hpp>

int main(int argc, char** argv) {
  return bench::run_program(argc, argv,
                            {bench::peer<bench::Actor<>>(), bench::peer<bench::Actor<4096>>()});
}
