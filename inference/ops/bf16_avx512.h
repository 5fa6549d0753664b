// SPDX-License-Identifier: Apache-2.0
// The product of kernels.h for CPUs that multiply bf16.
#pragma once

#include "inference/ops/kernels.h"

namespace inference {

// Whether this CPU has what the product uses.
bool HasAvx512Bf16();

void Bf16MatMulAvx512(const Bf16Args& args);

}  // namespace inference
