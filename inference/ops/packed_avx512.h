// SPDX-License-Identifier: Apache-2.0
// The products of kernels.h for CPUs with AVX-512 VNNI.
#pragma once

#include "inference/ops/kernels.h"

namespace inference {

// Whether this CPU has what the product uses.
bool HasAvx512Vnni();

void PackedMatMulAvx512(const PackedArgs& args);

// What it needs of PackedScratchBytes.
size_t PackedScratchBytesAvx512(size_t num_rows, size_t row_bytes);

}  // namespace inference
