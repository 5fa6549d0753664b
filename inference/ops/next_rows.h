// SPDX-License-Identifier: Apache-2.0
// Reading ahead in products of one token.
#pragma once

#include <algorithm>
#include <cstddef>

#include "hwy/base.h"

namespace inference {

// Rows side by side are streams of few lines each, which come to new pages at
// their own times, but the rows after them are one stretch of memory. They are
// asked for while these are multiplied: `bytes` of rows at `these`, and others
// after them up to `end`.

// Every line: where codes take work, what they are made of is to be near.
class NextLines {
 public:
  // Where fewer rows follow, these are asked for, which are here already: that
  // costs less than a question at each step.
  HWY_INLINE NextLines(const std::byte* these, size_t bytes,
                       const std::byte* end)
      : at_(end - these < static_cast<ptrdiff_t>(2 * bytes) ? these
                                                            : these + bytes) {}

  // Goes on by so many bytes. In a loop as such: many questions at once hold up
  // the loads behind them.
  template <size_t kBytes>
  HWY_INLINE void Ask() {
    constexpr size_t kLine = 64;
    HWY_UNROLL(1)
    for (size_t i = 0; i < kBytes; i += kLine) {
      __builtin_prefetch(at_ + i, 0, 3);
    }
    at_ += kBytes;
  }

 private:
  const std::byte* at_;
};

// One line of every page: where codes are read as they are, the processor sees
// the streams by itself, and what holds it up is looking up pages.
class NextPages {
 public:
  HWY_INLINE NextPages(const std::byte* these, size_t bytes,
                       const std::byte* end)
      : at_(these + std::min(bytes, static_cast<size_t>(end - these))),
        end_(end) {}

  template <size_t kBytes>
  HWY_INLINE void Ask() {
    constexpr size_t kPage = 4096;
    const std::byte* const stop =
        at_ + std::min(kBytes, static_cast<size_t>(end_ - at_));
    for (; at_ < stop; at_ += kPage) __builtin_prefetch(at_, 0, 3);
  }

 private:
  const std::byte* at_;
  const std::byte* end_;
};

}  // namespace inference
