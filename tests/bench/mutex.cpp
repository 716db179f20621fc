// SPDX-License-Identifier: BSL-1.0
// Measures a state behind a std::mutex.
#include <bench/measures.hpp>
#include <bench/peers/mutex.hpp>

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, {bench::peer<bench::Mutex>()});
}
