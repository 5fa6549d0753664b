// SPDX-License-Identifier: Apache-2.0
// SIGINT, SIGTERM and SIGHUP set a cancel token; a second one ends the process
// at once. SIGPIPE and SIGXFSZ are ignored: a closed pipe and a file-size limit
// are write errors.
#pragma once

#include <optional>

#include "cli/exit_code.h"
#include "verify/base/progress.h"

namespace cli {

// `token` must live until the process ends. Call once, from main.
void InstallSignalHandlers(verify::CancelToken* token);

// The exit code that belongs to the signal that came, if one did.
std::optional<ExitCode> SignalExitCode();

// While it lives, SIGINT sets its own token instead of ending the program;
// other signals set both. One at a time, on the main thread.
class ScopedInterrupt {
 public:
  ScopedInterrupt();
  ~ScopedInterrupt();
  ScopedInterrupt(const ScopedInterrupt&) = delete;
  ScopedInterrupt& operator=(const ScopedInterrupt&) = delete;

  const verify::CancelToken& token() const { return token_; }

 private:
  verify::CancelToken token_;
};

}  // namespace cli
