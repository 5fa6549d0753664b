// SPDX-License-Identifier: Apache-2.0
// What a tokenizer's pattern is, without compiling it.
#pragma once

#include <string_view>

#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_json.h"

namespace verify {

// Errors: kLimit (longer than kMaxPatternBytes), kCorrupt (a repetition of a
// repetition, which takes for ever on some texts), kUnsupported (not known).
Result<SplitPattern> RecognisePattern(std::string_view pattern);

// The pattern as its publishers write it; empty for kNone.
std::string_view SplitPatternText(SplitPattern pattern);

}  // namespace verify
