// SPDX-License-Identifier: Apache-2.0
// A word as a POSIX shell needs it: as it is, or in single quotes.
#pragma once

#include <string>
#include <string_view>

namespace cli {

std::string ShellQuote(std::string_view word);

}  // namespace cli
