// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/quant_policy.h"

namespace inference {

using verify::DType;

DType ChooseType(const verify::TensorSpec& tensor, DType to) {
  if (tensor.shape.size() < 2 || tensor.role == verify::TensorRole::kRouter) {
    return DType::kF32;
  }
  const auto fits = [&](DType dtype) {
    return tensor.shape.back() % verify::BlockElements(dtype) == 0;
  };
  if (fits(to)) return to;
  return fits(DType::kQ8_0) ? DType::kQ8_0 : DType::kBF16;
}

}  // namespace inference
