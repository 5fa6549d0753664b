// SPDX-License-Identifier: Apache-2.0
// How a running process is asked and told things: a Unix socket (0600, in a
// folder 0700) on which each line is a JSON object, answered by one line.
// Only processes of the same user are heard. Tested by
// tests/cli/control/control_socket_test.cc.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/result.h"

namespace cli {

// A name of up to about 60 characters in it fits a socket address.
inline constexpr size_t kMaxControlRequest = 64u << 10;
inline constexpr size_t kMaxControlAnswer = 8u << 20;

// Used by one thread. The socket is removed on destruction.
class ControlServer {
 public:
  using Clock = std::chrono::steady_clock;
  // Answers a request, which is an object; its "ok" says how it went.
  using Handler = std::function<verify::Json(const verify::Json& request)>;

  // Makes `folder` if absent and listens at FOLDER/NAME.sock. A socket that
  // its owner left behind is replaced. Errors: kBusy (a live owner; id
  // E-RUNNING), kIo (something else is in the way, a link, another owner, a
  // folder open to others: id E-CONTROL).
  static verify::Result<std::unique_ptr<ControlServer>> Listen(
      const std::string& folder, const std::string& name);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  const std::string& path() const { return path_; }

  // Takes in and answers what is there, without waiting. At most eight
  // callers at a time; one that stays silent for ten seconds is dropped, as is
  // one whose line is too long.
  void Serve(const Handler& handler, Clock::time_point now);

 private:
  struct Caller {
    verify::UniqueFd fd;
    std::string in;
    std::string out;
    Clock::time_point last;
    bool closing = false;
  };
  ControlServer(verify::UniqueFd lock, verify::UniqueFd fd, std::string path)
      : lock_(std::move(lock)), fd_(std::move(fd)), path_(std::move(path)) {}
  void Accept(Clock::time_point now);
  // False: the caller is gone or not wanted.
  bool ServeCaller(Caller& caller, const Handler& handler,
                   Clock::time_point now);

  verify::UniqueFd lock_;
  verify::UniqueFd fd_;
  std::string path_;
  std::vector<Caller> callers_;
};

// Sends one request and waits for its answer. Errors: kNotFound (nobody
// listens there), kIo, kNetwork (no answer in time: id E-CONTROL), kCorrupt,
// and kInvalidArgument or what the answer's "error" says.
verify::Result<verify::Json> CallControl(const std::string& socket_path,
                                         const verify::Json& request,
                                         std::chrono::milliseconds timeout);

// Sockets of this user in the folder, by name; those without an owner as well.
std::vector<std::string> ControlSockets(const std::string& folder);

// {"ok": false, "error": {...}}, and back; nothing if it says no error.
verify::Json ControlFailure(const verify::Error& error);
std::optional<verify::Error> ControlError(const verify::Json& answer);

}  // namespace cli
