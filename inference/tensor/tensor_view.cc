// SPDX-License-Identifier: Apache-2.0
#include "inference/tensor/tensor_view.h"

#include <cstdint>
#include <cstring>

#include "verify/base/check.h"

namespace inference {
namespace {

template <size_t kBytes>
void Gather(const TensorView& view, size_t begin, size_t count,
            std::byte* out) {
  const std::byte* const first = view.data + begin * view.row_bytes;
  for (size_t c = 0; c < view.cols; ++c) {
    const std::byte* from = first + c * view.col_bytes;
    std::byte* to = out + c * kBytes;
    for (size_t r = 0; r < count; ++r) {
      std::memcpy(to, from, kBytes);
      from += view.row_bytes;
      to += view.cols * kBytes;
    }
  }
}

}  // namespace

void GatherRows(const TensorView& view, size_t begin, size_t count,
                std::byte* out) {
  CHECK(verify::BlockElements(view.dtype) == 1);
  switch (verify::BlockBytes(view.dtype)) {
    case 1:
      return Gather<1>(view, begin, count, out);
    case 2:
      return Gather<2>(view, begin, count, out);
    case 4:
      return Gather<4>(view, begin, count, out);
    case 8:
      return Gather<8>(view, begin, count, out);
    default:
      CHECK(false);
  }
}

}  // namespace inference
