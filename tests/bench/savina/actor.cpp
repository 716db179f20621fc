// SPDX-License-Identifier: BSL-1.0
// Runs the Savina suite on actor.
#include <bench/peers/actor.hpp>
#include <bench/savina/program.hpp>

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, {savina::peer<bench::Actor<>>()});
}
