// SPDX-License-Identifier: BSL-1.0
// The pipe by which the numbers of signals come from their handlers to an ordinary thread.
#pragma once

#include <atomic>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace genserver::inline v0 {

/// Takes signals in their handlers, and gives them to a thread that may do anything.
///
/// A few thousand fit in; what comes while it is full is dropped, as signals are merged.
///
/// Threads: tell() any, at any time; next() one.
/// Lifetime: for ever, and it is never closed: a handler may be about to write.
class SignalPipe {
 public:
  constexpr SignalPipe() noexcept = default;
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;

  /// Makes the pipe, if there is none yet. Before the first handler is installed.
  ///
  /// Threads: one at a time. Throws: std::system_error if the system refuses it.
  void open();

  /// Sends a signal's number, or 0. Async-signal-safe; never waits. Returns false if nobody will
  /// ever read it: somebody has closed the pipe.
  bool tell(int signal) const noexcept;
  /// Sends 0, so that the reader comes to its end.
  ///
  /// Blocks: while the pipe is full.
  void tell_end() const noexcept;

  /// Returns the next number; 0 also if somebody has closed the pipe.
  ///
  /// Blocks: until there is one.
  [[nodiscard]] int next() const noexcept;

 private:
  [[nodiscard]] bool write(int signal) const noexcept;

  int read_end_ = -1;
  // Relaxed: the system call that installs a handler comes in between, and the handler needs no
  // more than the value itself.
  std::atomic<int> write_end_{-1};
};

inline void SignalPipe::open() {
  if (read_end_ >= 0) return;
  int ends[2] = {-1, -1};
#if defined(__linux__)
  // At once, so that no other thread's exec takes them along.
  const bool is_open = ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0;
#else
  const bool is_open = ::pipe(ends) == 0;
  for (int i = 0; is_open && i < 2; ++i) {
    ::fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    ::fcntl(ends[i], F_SETFL, O_NONBLOCK);
  }
#endif
  if (!is_open) {
    throw std::system_error{errno, std::generic_category(), "the system refuses a pipe"};
  }
  read_end_ = ends[0];
  write_end_.store(ends[1], std::memory_order_relaxed);  // see the member
}

/// Returns false, with its reason in errno, if the number was not taken.
inline bool SignalPipe::write(int signal) const noexcept {
  const auto number = static_cast<unsigned char>(signal);
  return ::write(write_end_.load(std::memory_order_relaxed), &number, 1) == 1;  // see the member
}

inline bool SignalPipe::tell(int signal) const noexcept {
  const int before = errno;  // of the code that the handler interrupts
  const bool is_told = write(signal) || errno == EAGAIN;
  errno = before;
  return is_told;
}

inline void SignalPipe::tell_end() const noexcept {
  while (!write(0) && errno == EAGAIN) {
    pollfd room{write_end_.load(std::memory_order_relaxed), POLLOUT, 0};  // see the member
    ::poll(&room, 1, -1);  // ended by the thread, which reads
  }
}

inline int SignalPipe::next() const noexcept {
  for (;;) {
    pollfd news{read_end_, POLLIN, 0};
    ::poll(&news, 1, -1);  // not read() alone: ThreadSanitizer would keep signals back in it
    unsigned char number = 0;
    const auto count = ::read(read_end_, &number, 1);
    if (count == 1) return number;
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) return 0;
  }
}

}  // namespace genserver::v0
