// SPDX-License-Identifier: Apache-2.0
// Tells a server's page from the file that was asked for.
// Tested by tests/verify/manifest/published_sums_test.cc and sniff_test.cc.
#pragma once

#include <string_view>

namespace verify {

// `start`: the first bytes of a file. An HTML or XML page, after a byte order
// mark and blanks.
bool LooksLikeWebPage(std::string_view start);

}  // namespace verify
