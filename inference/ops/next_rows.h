// SPDX-License-Identifier: Apache-2.0
// Reading ahead in products of one token.
#pragma once

#include <algorithm>
#include <cstddef>

#include "hwy/base.h"

namespace inference {

// Asks for the rows after these while these are multiplied. Rows side by side
// are streams of few lines each, which come to new pages at their own times,
// but one stretch of memory. Where codes take work every line of it is wanted
// early; where they are read as they are, the processor sees the streams by
// itself, and what holds it up is looking up pages.
class NextRows {
 public:
  static constexpr size_t kLineBytes = 64;
  static constexpr size_t kPageBytes = 4096;

  HWY_INLINE NextRows(const std::byte* first, const std::byte* end)
      : at_(first), end_(end) {}

  // Goes on by so many bytes, with a step for each line or page.
  template <size_t kStep>
  HWY_INLINE void Ask(size_t bytes) {
    const std::byte* const stop =
        at_ + std::min(bytes, static_cast<size_t>(end_ - at_));
    for (; at_ < stop; at_ += kStep) __builtin_prefetch(at_, 0, 3);
  }

 private:
  const std::byte* at_;
  const std::byte* end_;
};

}  // namespace inference
