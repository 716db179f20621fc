// SPDX-License-Identifier: BSL-1.0
// Measures Boost.Asio, with a thread and with a strand.
#include <bench/measures.hpp>
#include <bench/peers/asio.hpp>

int main(int argc, char** argv) {
  return bench::run_program(argc, argv,
                            {bench::peer<bench::AsioThread>(), bench::peer<bench::AsioStrand>()});
}
