// SPDX-License-Identifier: Apache-2.0
#include "cli/daemon.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "verify/base/text.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Json;
using verify::Result;
using verify::UniqueFd;

std::string ReadLine(int fd) {
  std::string text;
  std::array<char, 4096> block{};
  while (text.size() < (1u << 20)) {
    const ssize_t count = ::read(fd, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(block.data(), static_cast<size_t>(count));
    if (text.back() == '\n') break;
  }
  return text;
}

}  // namespace

Result<DaemonFork> Daemonize(const std::string& log_path) {
  std::error_code ignored;
  std::filesystem::create_directories(
      std::filesystem::path(log_path).parent_path(), ignored);
  const UniqueFd log(
      ::open(log_path.c_str(),
             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!log.valid()) return verify::FailErrno("open", log_path, errno);
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  int fds[2];
  if (!null.valid() || ::pipe2(fds, O_CLOEXEC) != 0) {
    return verify::FailErrno("prepare", log_path, errno);
  }
  UniqueFd from_child(fds[0]);
  UniqueFd to_parent(fds[1]);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return verify::FailErrno("fork for", log_path, errno);
  DaemonFork out;
  if (child == 0) {
    // Once more, so that it leads no session and gets no terminal again.
    if (::setsid() < 0) ::_exit(1);
    const pid_t grandchild = ::fork();
    if (grandchild != 0) ::_exit(grandchild < 0 ? 1 : 0);
    ::dup2(null.get(), STDIN_FILENO);
    ::dup2(log.get(), STDOUT_FILENO);
    ::dup2(log.get(), STDERR_FILENO);
    if (::chdir("/") != 0) ::_exit(1);
    out.report = std::move(to_parent);
    return out;
  }
  to_parent = UniqueFd();
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  const std::string line = ReadLine(from_child.get());
  const auto said = verify::ParseJson(line.substr(0, line.find('\n')));
  if (!said || !said->is_object()) {
    return Fail(ErrorCode::kInternal, "the background process ended at once")
        .Id("E-DAEMON")
        .Hint(
            verify::StrCat("its log is ", verify::EscapeForTerminal(log_path)));
  }
  out.is_parent = true;
  out.said = *said;
  out.pid = out.said.value("pid", int64_t{0});
  return out;
}

void SayToParent(UniqueFd& report, const Json& said) {
  if (!report.valid()) return;
  const std::string line =
      said.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  // A parent that is gone needs no answer.
  static_cast<void>(
      verify::WriteAll(report.get(), verify::AsBytes(line), "parent"));
  report = UniqueFd();
}

}  // namespace cli
