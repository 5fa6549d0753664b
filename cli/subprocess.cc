// SPDX-License-Identifier: Apache-2.0
#include "cli/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

namespace cli {
namespace {

constexpr auto kStopPatience = std::chrono::seconds(5);

int CodeOf(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return 128 + WTERMSIG(status);
}

}  // namespace

std::string OwnBinary() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

verify::Result<Subprocess> Subprocess::Start(
    const std::vector<std::string>& arguments, ChildOutput output) {
  std::array<int, 2> pipe_fds{-1, -1};
  if (output == ChildOutput::kPipe &&
      ::pipe2(pipe_fds.data(), O_CLOEXEC) != 0) {
    return verify::FailErrno("make a pipe for", arguments[0], errno);
  }
  verify::UniqueFd read_end(pipe_fds[0]);
  const verify::UniqueFd write_end(pipe_fds[1]);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return verify::FailErrno("start", arguments[0], errno);
  if (pid == 0) {
    // Only async-signal-safe calls from here on.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(127);
    // A Ctrl-C reaches the parent, which decides what its children do.
    if (output == ChildOutput::kPipe) {
      ::setpgid(0, 0);
      ::dup2(write_end.get(), STDOUT_FILENO);
      const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      if (null >= 0) {
        ::dup2(null, STDIN_FILENO);
        ::dup2(null, STDERR_FILENO);
      }
    }
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return Subprocess(pid, std::move(read_end));
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      output_(std::move(other.output_)),
      buffer_(std::move(other.buffer_)) {}

Subprocess::~Subprocess() { Stop(); }

std::optional<std::string> Subprocess::ReadLine() {
  for (;;) {
    if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    std::array<char, 4096> chunk;
    const ssize_t got = ::read(output_.get(), chunk.data(), chunk.size());
    if (got <= 0) return std::nullopt;
    buffer_.append(chunk.data(), static_cast<size_t>(got));
  }
}

int Subprocess::Wait() {
  if (pid_ < 0) return -1;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  pid_ = -1;
  return CodeOf(status);
}

int Subprocess::Stop() {
  if (pid_ < 0) return -1;
  ::kill(pid_, SIGTERM);
  // Its end arrives as SIGCHLD, which is waited for with a time limit.
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  sigset_t previous;
  ::sigprocmask(SIG_BLOCK, &child, &previous);
  const auto deadline = std::chrono::steady_clock::now() + kStopPatience;
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(pid_, &status, WNOHANG)) == 0) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::seconds(0)) {
      ::kill(pid_, SIGKILL);
      ended = ::waitpid(pid_, &status, 0);
      break;
    }
    const auto ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    const struct timespec timeout { ns / 1000000000, ns % 1000000000 };
    ::sigtimedwait(&child, nullptr, &timeout);
  }
  ::sigprocmask(SIG_SETMASK, &previous, nullptr);
  pid_ = -1;
  return ended > 0 ? CodeOf(status) : -1;
}

}  // namespace cli
