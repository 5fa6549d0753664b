// SPDX-License-Identifier: Apache-2.0
#include "cli/control/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Json;
using verify::Result;
using verify::StrCat;
using verify::UniqueFd;

constexpr size_t kMaxCallers = 8;
constexpr auto kSilence = std::chrono::seconds(10);
constexpr std::string_view kSuffix = ".sock";

verify::Unexpected FailControl(const std::string& path,
                               std::string_view reason) {
  return Fail(ErrorCode::kIo, StrCat("control socket \"",
                                     EscapeForTerminal(path), "\": ", reason))
      .Id("E-CONTROL");
}

std::optional<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* AsSockaddr(const sockaddr_un& address) {
  return static_cast<const sockaddr*>(static_cast<const void*>(&address));
}

// The errno of connecting, 0 if somebody listens.
int ConnectTo(const std::string& path, UniqueFd& fd) {
  const auto address = AddressOf(path);
  if (!address.has_value()) return ENAMETOOLONG;
  fd = UniqueFd(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno;
  return ::connect(fd.get(), AsSockaddr(*address), sizeof(*address)) == 0
             ? 0
             : errno;
}

// Our own folder that nobody else may enter.
Result<void> PrepareFolder(const std::string& folder) {
  std::error_code ignored;
  fs::create_directories(fs::path(folder).parent_path(), ignored);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return verify::FailErrno("create", folder, errno);
  }
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) {
    return verify::FailErrno("look at", folder, errno);
  }
  if (!S_ISDIR(info.st_mode)) {
    return FailControl(folder, "not a folder");
  }
  if (info.st_uid != ::geteuid()) {
    return FailControl(folder, "the folder belongs to another user");
  }
  if ((info.st_mode & 0077) != 0 && ::chmod(folder.c_str(), 0700) != 0) {
    return FailControl(folder, "the folder is open to others");
  }
  return {};
}

// Removes what a process that is gone left behind; refuses anything else.
Result<void> ClearWay(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return verify::FailErrno("look at", path, errno);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return FailControl(path, S_ISLNK(info.st_mode)
                                 ? "a symbolic link is in the way"
                                 : "something else is in the way");
  }
  if (info.st_uid != ::geteuid()) {
    return FailControl(path, "it belongs to another user");
  }
  UniqueFd probe;
  const int status = ConnectTo(path, probe);
  if (status == 0 || status == EAGAIN) {
    return Fail(ErrorCode::kBusy, StrCat("a process listens at \"",
                                         EscapeForTerminal(path), "\" already"))
        .Id("E-RUNNING");
  }
  if (status != ECONNREFUSED) {
    return verify::FailErrno("connect to", path, status);
  }
  if (::unlink(path.c_str()) != 0) {
    return verify::FailErrno("remove", path, errno);
  }
  return {};
}

bool IsSameUser(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == ::geteuid();
}

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json Answer(const std::string& line, const ControlServer::Handler& handler) {
  verify::JsonLimits limits;
  limits.max_bytes = kMaxControlRequest;
  limits.max_depth = 4;
  limits.max_values = 4096;
  const auto request = verify::ParseJson(line, limits);
  if (!request) return ControlFailure(request.error());
  if (!request->is_object()) {
    return ControlFailure(
        Fail(ErrorCode::kInvalidArgument, "a request is an object").error());
  }
  // A field of another type than the handler expects.
  try {
    return handler(*request);
  } catch (const Json::exception& error) {
    return ControlFailure(
        Fail(ErrorCode::kInvalidArgument, EscapeForTerminal(error.what()))
            .error());
  }
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::Listen(
    const std::string& folder, const std::string& name) {
  RETURN_IF_ERROR(PrepareFolder(folder));
  const std::string path = StrCat(folder, "/", name, kSuffix);
  const auto address = AddressOf(path);
  if (!address.has_value()) {
    return Fail(ErrorCode::kIo,
                StrCat("control socket \"", EscapeForTerminal(path),
                       "\": the path is longer than ",
                       sizeof(sockaddr_un::sun_path) - 1, " bytes"))
        .Id("E-CONTROL")
        .Hint("set XDG_RUNTIME_DIR to a shorter path");
  }
  // Held while the owner lives, so that two that start at once do not take
  // each other's socket for one that was left behind.
  const std::string lock_path = StrCat(folder, "/", name, ".lock");
  UniqueFd lock(::open(lock_path.c_str(),
                       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return verify::FailErrno("open", lock_path, errno);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return verify::FailErrno("lock", lock_path, errno);
    }
    return Fail(ErrorCode::kBusy, StrCat("a process holds \"",
                                         EscapeForTerminal(path), "\" already"))
        .Id("E-RUNNING");
  }
  RETURN_IF_ERROR(ClearWay(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return verify::FailErrno("make", path, errno);
  if (::bind(fd.get(), AsSockaddr(*address), sizeof(*address)) != 0) {
    return verify::FailErrno("make", path, errno);
  }
  // Until here the folder alone keeps others out.
  if (::chmod(path.c_str(), 0600) != 0 ||
      ::listen(fd.get(), static_cast<int>(kMaxCallers)) != 0) {
    const int error_number = errno;
    ::unlink(path.c_str());
    return verify::FailErrno("listen at", path, error_number);
  }
  return std::unique_ptr<ControlServer>(
      new ControlServer(std::move(lock), std::move(fd), path));
}

ControlServer::~ControlServer() { ::unlink(path_.c_str()); }

void ControlServer::Accept(Clock::time_point now) {
  while (callers_.size() < kMaxCallers) {
    UniqueFd fd(
        ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) return;
    if (!IsSameUser(fd.get())) continue;
    Caller caller;
    caller.fd = std::move(fd);
    caller.last = now;
    callers_.push_back(std::move(caller));
  }
}

void ControlServer::Serve(const Handler& handler, Clock::time_point now) {
  Accept(now);
  std::vector<Caller> kept;
  for (Caller& caller : callers_) {
    if (ServeCaller(caller, handler, now)) kept.push_back(std::move(caller));
  }
  callers_ = std::move(kept);
}

bool ControlServer::ServeCaller(Caller& caller, const Handler& handler,
                                Clock::time_point now) {
  std::array<char, 4096> block{};
  while (!caller.closing && caller.in.size() <= kMaxControlRequest) {
    const ssize_t count =
        ::recv(caller.fd.get(), block.data(), block.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return false;
    if (count < 0) break;
    if (count == 0) {
      caller.closing = true;
      break;
    }
    caller.last = now;
    caller.in.append(block.data(), static_cast<size_t>(count));
  }
  size_t end = 0;
  while ((end = caller.in.find('\n')) != std::string::npos) {
    // One answer at a time: who does not read is not worked for.
    if (caller.out.size() > kMaxControlAnswer) break;
    const std::string line = caller.in.substr(0, end);
    caller.in.erase(0, end + 1);
    if (!line.empty()) caller.out += Line(Answer(line, handler));
  }
  if (end == std::string::npos && caller.in.size() > kMaxControlRequest) {
    caller.in.clear();
    caller.closing = true;
    caller.out += Line(ControlFailure(
        Fail(ErrorCode::kLimit,
             StrCat("a request of more than ", kMaxControlRequest, " bytes"))
            .error()));
  }
  while (!caller.out.empty()) {
    const ssize_t count = ::send(caller.fd.get(), caller.out.data(),
                                 caller.out.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return false;
    if (count < 0) break;
    caller.last = now;
    caller.out.erase(0, static_cast<size_t>(count));
  }
  if (caller.closing && caller.out.empty()) return false;
  return now - caller.last < kSilence;
}

Result<Json> CallControl(const std::string& socket_path, const Json& request,
                         std::chrono::milliseconds timeout) {
  UniqueFd fd;
  const int status = ConnectTo(socket_path, fd);
  if (status == ENOENT || status == ECONNREFUSED) {
    return Fail(ErrorCode::kNotFound,
                StrCat("no process listens at \"",
                       EscapeForTerminal(socket_path), "\""));
  }
  if (status != 0) return verify::FailErrno("connect to", socket_path, status);
  if (!IsSameUser(fd.get())) {
    return FailControl(socket_path, "its owner is another user");
  }
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto wait = [&](short events) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd poll_fd{fd.get(), events, 0};
    return left.count() > 0 &&
           ::poll(&poll_fd, 1, static_cast<int>(left.count())) > 0;
  };
  std::string out = Line(request);
  std::string in;
  while (in.find('\n') == std::string::npos) {
    if (!wait(out.empty() ? POLLIN : POLLOUT)) {
      return Fail(ErrorCode::kNetwork,
                  StrCat("no answer from \"", EscapeForTerminal(socket_path),
                         "\" in time"))
          .Id("E-CONTROL")
          .Hint("the process may be stopping; try again");
    }
    if (!out.empty()) {
      const ssize_t sent =
          ::send(fd.get(), out.data(), out.size(), MSG_NOSIGNAL);
      if (sent < 0) return verify::FailErrno("write to", socket_path, errno);
      out.erase(0, static_cast<size_t>(sent));
      continue;
    }
    std::array<char, 16384> block{};
    const ssize_t count = ::recv(fd.get(), block.data(), block.size(), 0);
    if (count <= 0) {
      return FailControl(socket_path, "it was closed before the answer");
    }
    in.append(block.data(), static_cast<size_t>(count));
    if (in.size() > kMaxControlAnswer) {
      return Fail(ErrorCode::kLimit, "an answer that is too long");
    }
  }
  ASSIGN_OR_RETURN(Json answer, verify::ParseJson(in.substr(0, in.find('\n'))));
  if (!answer.is_object()) return FailControl(socket_path, "no answer");
  if (auto error = ControlError(answer)) {
    return verify::Unexpected(std::move(*error));
  }
  return answer;
}

std::vector<std::string> ControlSockets(const std::string& folder) {
  std::vector<std::string> sockets;
  struct stat info {};
  // A folder that another user made may hold anything.
  if (::lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
      info.st_uid != ::geteuid()) {
    return sockets;
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string path = entry.path().string();
    if (path.ends_with(kSuffix) && ::lstat(path.c_str(), &info) == 0 &&
        S_ISSOCK(info.st_mode) && info.st_uid == ::geteuid()) {
      sockets.push_back(path);
    }
  }
  std::sort(sockets.begin(), sockets.end());
  return sockets;
}

Json ControlFailure(const verify::Error& error) {
  return {{"ok", false},
          {"error",
           {{"kind", verify::ErrorCodeName(error.code)},
            {"code", error.id},
            {"message", error.message},
            {"hint", error.hint}}}};
}

std::optional<verify::Error> ControlError(const Json& answer) {
  if (!answer.contains("error") || !answer["error"].is_object()) {
    return std::nullopt;
  }
  const Json& said = answer["error"];
  const auto text = [&](const char* key) {
    return said.contains(key) && said[key].is_string()
               ? said[key].get<std::string>()
               : std::string();
  };
  verify::Error error;
  error.message = text("message");
  error.id = text("code");
  error.hint = text("hint");
  error.code = ErrorCode::kInvalidArgument;
  for (const ErrorCode code :
       {ErrorCode::kNotFound, ErrorCode::kIo, ErrorCode::kCorrupt,
        ErrorCode::kMismatch, ErrorCode::kUnsupported, ErrorCode::kLimit,
        ErrorCode::kNetwork, ErrorCode::kBusy, ErrorCode::kInternal}) {
    if (text("kind") == verify::ErrorCodeName(code)) error.code = code;
  }
  return error;
}

}  // namespace cli
