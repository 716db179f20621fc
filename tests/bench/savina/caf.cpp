// SPDX-License-Identifier: BSL-1.0
// Runs the Savina suite on caf.
#include <bench/peers/caf.hpp>
#include <bench/savina/program.hpp>

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, {savina::peer<bench::Caf<>>()});
}
