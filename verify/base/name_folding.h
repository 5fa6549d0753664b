// SPDX-License-Identifier: Apache-2.0
// A key under which names that some file system takes for one are equal:
// macOS and Windows ignore case, macOS the way an accent is written, Windows
// dots and blanks at the end. Tested by tests/verify/base/path_policy_test.cc.
#pragma once

#include <string>
#include <string_view>

namespace verify {

// Covers: case of every script (Unicode 14 one-to-one foldings, and the
// one-to-many of sharp s, dotted I and the f and s ligatures); composed and
// decomposed accents of Latin, Greek (without polytonic), Cyrillic and kana;
// Hangul; trailing dots and blanks. `name` is valid UTF-8; bytes that are not
// stay as they are. The key is for comparing only.
std::string FoldName(std::string_view name);

}  // namespace verify
