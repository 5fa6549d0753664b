// SPDX-License-Identifier: Apache-2.0
// Which tensor gets which element type in a converted file.
// Tested by tests/inference/convert/quant_policy_test.cc.
#pragma once

#include <cstdint>

#include "verify/checkpoint/dtype.h"
#include "verify/structure/architecture.h"

namespace inference {

// Norms (one dimension) and the router stay f32: small, and a rounded router
// sends tokens to other experts. Everything else becomes `to`, except that rows
// which are no whole number of its blocks become q8_0, and bf16 where they are
// none of those either.
verify::DType ChooseType(const verify::TensorSpec& tensor, verify::DType to);

}  // namespace inference
