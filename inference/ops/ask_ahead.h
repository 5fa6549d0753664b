// SPDX-License-Identifier: Apache-2.0
// Reading ahead in products of one token.
#pragma once

#include <cstddef>

#include "hwy/base.h"

namespace inference {

// Asks for kBytes of each of so many rows, `stride` apart, some lines further
// on. The processor sees that a row is read one line after the other, but comes
// late to each page; much farther lines would leave the first cache again.
template <size_t kBytes>
HWY_INLINE void AskAhead(const std::byte* rows, size_t stride,
                         size_t num_rows) {
  constexpr size_t kAhead = 320;
  constexpr size_t kLine = 64;
  for (size_t i = 0; i < kBytes; i += kLine) {
    HWY_UNROLL(8)
    for (size_t r = 0; r < num_rows; ++r) {
      __builtin_prefetch(rows + r * stride + kAhead + i, 0, 3);
    }
  }
}

}  // namespace inference
