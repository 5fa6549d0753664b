// SPDX-License-Identifier: Apache-2.0
// A child process that never outlives its parent.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"

namespace cli {

enum class ChildOutput {
  kInherit,  // the child writes where the parent does
  kPipe,     // its stdout is read by ReadLine; stderr is thrown away
};

// Movable; the destructor ends the child (SIGTERM, then SIGKILL after 5 s) and
// waits for it. One thread.
class Subprocess {
 public:
  // `arguments[0]` is the path of the program. Errors: kIo.
  static verify::Result<Subprocess> Start(
      const std::vector<std::string>& arguments, ChildOutput output);
  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&&) = delete;
  ~Subprocess();

  // The next line of its stdout without the line end; nothing at the end, or
  // when interrupted. Requires kPipe.
  std::optional<std::string> ReadLine();

  // Waits for its end: the exit code, or 128 + the signal that ended it.
  int Wait();
  // Asks it to stop (SIGTERM) and waits.
  int Stop();

 private:
  Subprocess(pid_t pid, verify::UniqueFd output)
      : pid_(pid), output_(std::move(output)) {}

  pid_t pid_ = -1;
  verify::UniqueFd output_;
  std::string buffer_;
};

// The path of this program's own binary.
std::string OwnBinary();

}  // namespace cli
