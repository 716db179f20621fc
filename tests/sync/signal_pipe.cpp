// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/platform/signal_pipe.hpp>

#include <support/catch.hpp>

#include <cerrno>
#include <thread>

using namespace genserver;

namespace {

SignalPipe& opened_pipe() {
  static SignalPipe pipe;  // as every one: for ever
  pipe.open();
  return pipe;
}

}  // namespace

TEST_CASE("numbers come out of the pipe in the order in which they went in",
          "[sync][signal_pipe]") {
  SignalPipe& pipe = opened_pipe();
  int first = 0;
  int second = 0;
  int last = -1;
  std::thread reader{[&] {
    first = pipe.next();
    second = pipe.next();
    last = pipe.next();
  }};

  CHECK(pipe.tell(64));
  CHECK(pipe.tell(2));
  pipe.tell_end();
  reader.join();

  CHECK(first == 64);
  CHECK(second == 2);
  CHECK(last == 0);
}

TEST_CASE("what does not fit into the pipe is dropped without waiting, but not its end",
          "[sync][signal_pipe]") {
  constexpr int more_than_fits = 70000;
  SignalPipe& pipe = opened_pipe();
  errno = ENOTTY;
  bool is_refused = false;
  for (int i = 0; i < more_than_fits; ++i) is_refused = !pipe.tell(1) || is_refused;
  CHECK_FALSE(is_refused);
  CHECK(errno == ENOTTY);

  std::thread ending{[&] { pipe.tell_end(); }};
  int count = 0;
  while (pipe.next() != 0) ++count;
  ending.join();

  CHECK(count > 0);
  CHECK(count < more_than_fits);
}

TEST_CASE("before there is a pipe nothing is told, and it is opened once", "[sync][signal_pipe]") {
  static SignalPipe pipe;
  errno = ENOTTY;
  CHECK_FALSE(pipe.tell(1));
  CHECK(errno == ENOTTY);

  pipe.open();
  CHECK(pipe.tell(1));
  pipe.open();

  CHECK(pipe.next() == 1);
}
