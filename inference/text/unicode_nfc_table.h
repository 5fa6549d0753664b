// SPDX-License-Identifier: Apache-2.0
// Tables of canonical composition; used by unicode_nfc.cc alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace inference {

inline constexpr size_t kNumDecompositions = 2061;
inline constexpr size_t kNumCompositions = 941;
inline constexpr size_t kNumCombiningRanges = 570;

// Ascending. Three numbers of 21 bits each: character, first, second (0: the
// character stands for the first alone).
extern const std::array<uint64_t, kNumDecompositions> kDecompositions;
// Ascending: first, second, the character that they make.
extern const std::array<uint64_t, kNumCompositions> kCompositions;
// Ascending: 256 * first character of a range + its combining class; in front
// of the first, 0.
extern const std::array<uint32_t, kNumCombiningRanges> kCombiningRanges;

}  // namespace inference
