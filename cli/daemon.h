// SPDX-License-Identifier: Apache-2.0
// Goes on in the background: a process of a session of its own, whose output
// goes to a log. Tested by tests/scripts/seed_service.py.
#pragma once

#include <string>

#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/result.h"

namespace cli {

struct DaemonFork {
  bool is_parent = false;
  // Parent: what the child said first; the child's pid.
  verify::Json said;
  int64_t pid = 0;
  // Child: where to say it. Closing it without a word counts as a failure.
  verify::UniqueFd report;
};

// Requires that no thread was started yet. The parent returns when the child
// has said how it started, or has ended. Errors: kIo (fork, log).
verify::Result<DaemonFork> Daemonize(const std::string& log_path);

// Sends one JSON line to the waiting parent.
void SayToParent(verify::UniqueFd& report, const verify::Json& said);

}  // namespace cli
