// SPDX-License-Identifier: Apache-2.0
// The one table of exit codes: `help exit-codes`, the JSON result event and
// the process's own status come from it. Tested by tests/cli/exit_code_test.cc.
#pragma once

#include <span>
#include <string_view>

#include "verify/base/result.h"

namespace cli {

enum class ExitCode {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,
  kNotFound = 3,
  kNetwork = 4,
  kIo = 5,
  kMismatch = 6,
  kUntrusted = 7,
  kMalformed = 8,
  kUnsupported = 9,
  kFindings = 10,
  kIncomplete = 11,
  kBusy = 12,
  kInterrupted = 130,
  kTerminated = 143,
};

struct ExitCodeInfo {
  ExitCode code;
  std::string_view name;
  std::string_view meaning;
};

// All of them, ascending.
std::span<const ExitCodeInfo> ExitCodes();
std::string_view ExitCodeName(ExitCode code);

// The code for an error of the libraries. kCancelled is kInterrupted; the
// caller that knows of a SIGTERM makes it kTerminated.
ExitCode ExitCodeFor(const verify::Error& error);

}  // namespace cli
