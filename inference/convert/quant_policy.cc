// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/quant_policy.h"

namespace inference {

using verify::DType;

DType ChooseType(const verify::TensorSpec& tensor, DType to) {
  if (tensor.shape.size() < 2 || tensor.role == verify::TensorRole::kRouter) {
    return DType::kF32;
  }
  if (tensor.shape.back() % verify::BlockElements(to) != 0) {
    return DType::kBF16;
  }
  return to;
}

}  // namespace inference
