// SPDX-License-Identifier: Apache-2.0
// Ranges of characters of one class; used by unicode_class.cc alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace inference {

inline constexpr size_t kNumUnicodeRanges = 2106;
// 16 * first character + class, ascending. The class is that of CharClass, or
// 7: capital and small letters in turn; 8: the same, a small one first.
extern const std::array<uint32_t, kNumUnicodeRanges> kUnicodeRanges;

}  // namespace inference
