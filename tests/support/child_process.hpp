// SPDX-License-Identifier: BSL-1.0
// This test program once more, for what ends a process.
#pragma once

#include <genserver/sync/platform/standard_error.hpp>

#include <csignal>
#include <string>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

/// For the main thread of the child: lets ChildProcess::read_until() see `word`.
inline void tell_parent(const char* word) {
  std::raise(SIGWINCH);  // nothing; but ThreadSanitizer may lose what is a thread's first signal
  genserver::write_to_standard_error(word);
}

/// Runs one hidden case of this program in a process of its own; reads what that writes.
class ChildProcess {
 public:
  explicit ChildProcess(std::string test_case) {
    int ends[2] = {-1, -1};
    is_there_ = ::pipe2(ends, O_CLOEXEC) == 0;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    for (const int each : {1, 2}) posix_spawn_file_actions_adddup2(&files, ends[1], each);
    std::string self = "/proc/self/exe";
    char* arguments[] = {self.data(), test_case.data(), nullptr};
    is_there_ = is_there_ && ::posix_spawn(&pid_, self.c_str(), &files, nullptr, arguments,
                                           environ) == 0;
    posix_spawn_file_actions_destroy(&files);
    ::close(ends[1]);
    output_ = ends[0];
  }
  ~ChildProcess() {
    if (is_there_) ::kill(pid_, SIGKILL);
    if (is_there_) ::waitpid(pid_, nullptr, 0);
    ::close(output_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Reads until `part` comes, or the output ends. Returns all that has come.
  const std::string& read_until(const std::string& part) {
    char sign = 0;
    while (text_.find(part) == std::string::npos && ::read(output_, &sign, 1) == 1) text_ += sign;
    return text_;
  }
  const std::string& read_all() { return read_until(std::string(1, '\0')); }

  void send(int signal) const { ::kill(pid_, signal); }

  /// Returns the status with which it has ended, or less than 0 if a signal has ended it.
  int status() {
    read_all();
    int status = 0;
    if (!is_there_ || ::waitpid(pid_, &status, 0) != pid_) return -1;
    is_there_ = false;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  bool is_there_ = false;
  pid_t pid_ = -1;
  int output_ = -1;
  std::string text_{};
};
