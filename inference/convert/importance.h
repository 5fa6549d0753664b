// SPDX-License-Identifier: Apache-2.0
// How much the columns of each weight matrix matter: the mean of the squares of
// what each is multiplied with (docs/decisions/0012). Where it comes from:
// calibration.h, importance_file.h.
// Tested by tests/inference/convert/importance_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"
#include "verify/digest/digest.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace inference {

// Of one tensor of a GGUF file: of one matrix, or of one for each expert.
struct ImportanceEntry {
  uint64_t cols = 0;
  std::vector<float> sums;    // [counts.size(), cols], of weighted squares
  std::vector<float> counts;  // of each expert: the sum of the weights
};

struct ImportanceMatrix {
  std::map<std::string, ImportanceEntry> entries;  // by the tensor's GGUF name
  std::string dataset;  // what text it comes from, for people
  uint64_t num_chunks = 0;
  uint64_t chunk_tokens = 0;
};

// Whether errors of the type are weighed: those that a search finds scales
// for. q8_0 keeps its plain rule, and the bytes of other tools.
bool UsesImportance(verify::DType dtype);

// Tells matrices apart: that of the file that SerializeImportance makes.
verify::Sha256Digest DigestOf(const ImportanceMatrix& matrix);

// Every entry that is named like a weight of the model has its shape, and there
// is at least one. Errors: kMismatch, E-IMATRIX (it is of another model).
verify::Result<void> CheckImportance(const ImportanceMatrix& matrix,
                                     const verify::ModelConfig& config);

// The weights of the columns of a matrix, `expert` as the tensor stacks them
// (0 if it is one matrix); empty if nothing is known of them. What few tokens
// say is drawn towards what is known without them:
//   v = (sum + kPriorTokens * prior) / (count + kPriorTokens)
//   w = v + kFloor * (mean of v over the columns)
// where the prior of gate and up matrices, which have their input in common, is
// the mean of all experts, and of others the mean over the columns. The floor
// is for columns that are quiet in this text and may not be in another.
// Requires a matrix that CheckImportance lets pass for `spec`.
inline constexpr double kPriorTokens = 32;
inline constexpr double kFloor = 0.25;
std::vector<float> ColumnWeights(const ImportanceMatrix& matrix,
                                 const verify::TensorSpec& spec,
                                 uint64_t expert);

}  // namespace inference
