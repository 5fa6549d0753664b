// SPDX-License-Identifier: Apache-2.0
// What a verb is given to work with, and what it ends with: all that a flow
// has to know of the command line.
#pragma once

#include <string>
#include <vector>

#include "cli/exit_code.h"
#include "cli/output.h"
#include "verify/base/progress.h"

namespace cli {

// What a verb ends with; the result event carries it.
struct CommandResult {
  ExitCode code = ExitCode::kOk;
  std::string path;
  Fields summary = Fields::object();
  std::vector<std::string> next;
};

// What a user allows a verb to do with them.
struct Interaction {
  bool yes = false;       // every question is answered with yes
  bool no_input = false;  // nothing is ever asked
};

// What a verb works with; outlives its run.
struct Context {
  Output& output;
  const verify::CancelToken& cancel;
  Interaction interaction = {};
};

}  // namespace cli
