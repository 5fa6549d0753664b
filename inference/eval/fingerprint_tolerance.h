// SPDX-License-Identifier: Apache-2.0
// How far a part of a converted model may be from the published one: what the
// element types lose, times how often. The table and its reasons:
// docs/formats/fingerprint.md, section 4.
// Tested by tests/inference/eval/fingerprint_tolerance_test.cc.
#pragma once

#include <algorithm>

#include "inference/eval/fingerprint.h"

namespace inference {

// Rounding of the engine on two kinds of CPU, by itself and through a run.
inline constexpr double kPartRounding = 1e-4;
inline constexpr double kRunRounding = 2e-3;
// Whatever the type: a part that is not there at all is 1 away, another
// expert 1.4.
inline constexpr double kMaxTolerance = 0.8;
// How a loss of the weights shows in what a part gives: the square root of
// the number of matrices that it passes, twice, for blocks with outliers and
// because a distance is an estimate from kSketchValues numbers.
inline constexpr double kMatrixFactor = 2;
inline constexpr double kScoresFactor = 3;
inline constexpr double kAttentionFactor = 4;
inline constexpr double kExpertFactor = 4;
// The same through layers, whose errors add up and turn tokens to other
// experts; measured.
inline constexpr double kRunFactor = 12;
// Share of tokens that may go to other experts.
inline constexpr double kRoutingShare = 0.05;

// Root mean square of what values of a type have lost, in relation to that of
// the values themselves, for weights that are spread about like a normal
// distribution; 0 for types that weights are published in without loss.
double TypeLoss(verify::DType type);

// What the tensors of one part lose, in relation to their size, when the first
// types are converted to the second: 0 where the second hold the first
// exactly. For the largest pair.
double ConversionLoss(const TypeSet& from, const TypeSet& to);

// No more than kMaxTolerance.
inline double CappedTolerance(double tolerance) {
  return std::min(tolerance, kMaxTolerance);
}

}  // namespace inference
