// SPDX-License-Identifier: Apache-2.0
// Packed blocks as they lie in a GGUF file. Layouts: docs/formats/gguf.md.
#pragma once

#include <cstddef>
#include <cstdint>

namespace inference {

inline constexpr size_t kQ8BlockElements = 32;

// 32 elements: element j is scale * q[j]; `scale` is the bits of an IEEE half.
// Two bytes of alignment: rows of blocks in a mapped file are used in place.
struct BlockQ8_0 {
  uint16_t scale;
  int8_t q[kQ8BlockElements];
};
static_assert(sizeof(BlockQ8_0) == 34);
static_assert(alignof(BlockQ8_0) == 2);

}  // namespace inference
