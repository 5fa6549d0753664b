// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/fingerprint_tolerance.h"

#include <cmath>

namespace inference {
namespace {

using verify::DType;

bool IsPlain(DType type) {
  return type == DType::kF64 || type == DType::kF32 || type == DType::kF16 ||
         type == DType::kBF16;
}

double LossBetween(DType from, DType to) {
  if (from == to) return 0;
  // A bf16 fits a half but for weights so small that they do not count.
  if (from == DType::kBF16 && to == DType::kF16) return 0x1p-14;
  const bool to_wide = to == DType::kF32 || to == DType::kF64;
  if (IsPlain(from) && to_wide) return 0;
  // What is published in blocks may lie here as what it was made from.
  return std::hypot(IsPlain(from) ? 0 : TypeLoss(from), TypeLoss(to));
}

}  // namespace

double TypeLoss(DType type) {
  switch (type) {
    case DType::kBF16:
      return 0.0017;
    case DType::kF16:
      return 0.0003;
    case DType::kF8E4M3:
      return 0.027;
    case DType::kF8E5M2:
      return 0.054;
    case DType::kQ8_0:
    case DType::kQ8K:
      return 0.006;
    case DType::kQ6K:
      return 0.02;
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ5K:
      return 0.045;
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ4K:
    case DType::kIQ4NL:
    case DType::kIQ4XS:
      return 0.09;
    case DType::kMXFP4:
      return 0.13;
    case DType::kQ3K:
      return 0.17;
    case DType::kQ2K:
      return 0.33;
    default:
      return 0;
  }
}

double ConversionLoss(const TypeSet& from, const TypeSet& to) {
  if (from == to) return 0;
  double loss = 0;
  for (const DType a : from) {
    for (const DType b : to) loss = std::max(loss, LossBetween(a, b));
  }
  return loss;
}

}  // namespace inference
