// SPDX-License-Identifier: Apache-2.0
// Questions to a person, and what happens where nobody can be asked.
// Tested by tests/scripts/confirm.py.
#pragma once

#include <string>

#include "cli/context.h"
#include "verify/base/result.h"

namespace cli {

// Whether Confirm would ask: a terminal on both sides, and neither --yes,
// --no-input nor --json.
bool CanAsk(const Context& context);

// Asks "QUESTION [Y/n] " on the terminal; nothing is asked, and the answer is
// yes, where CanAsk is false. Errors: kCancelled, id E-DECLINED (the answer was
// no, or the input ended) or E-INTERRUPTED (a signal came).
verify::Result<void> Confirm(const std::string& question, Context& context);

// A line of standard input, without what a stream would read ahead and without
// its end; `ended` says that there was none. kCancelled on Ctrl-C.
verify::Result<std::string> ReadAnswer(const verify::CancelToken& cancel,
                                       bool& ended);

}  // namespace cli
