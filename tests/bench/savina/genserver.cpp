// SPDX-License-Identifier: BSL-1.0
// Runs the Savina suite on genserver.
#include <bench/peers/genserver.hpp>
#include <bench/savina/program.hpp>

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, {savina::peer<bench::Genserver<>>()});
}
