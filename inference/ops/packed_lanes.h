// SPDX-License-Identifier: Apache-2.0
// The products of kernels.h with packed weights on any CPU, in a file of their
// own because they take the compiler longest.
#pragma once

#include <cstddef>
#include <cstdint>

#include "inference/ops/kernels.h"

namespace inference {

// PackedMatMul for a CPU target of Highway. AVX3 takes that of AVX2.
template <int64_t kTarget>
void PackedMatMulOn(const PackedArgs& args);

// What the product needs of PackedScratchBytes on the widest target.
size_t LaneScratchBytes(size_t num_rows, size_t row_bytes);

}  // namespace inference
