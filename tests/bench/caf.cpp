// SPDX-License-Identifier: BSL-1.0
// Measures CAF, scheduled and detached.
#include <bench/measures.hpp>
#include <bench/peers/caf.hpp>

int main(int argc, char** argv) {
  return bench::run_program(argc, argv,
                            {bench::peer<bench::Caf<>>(), bench::peer<bench::Caf<true>>()});
}
