// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/importance.h"

#include <cstddef>

#include "inference/convert/importance_file.h"
#include "inference/quant/quantize.h"
#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::DType;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using verify::TensorRole;
using verify::TensorSpec;

uint64_t NumMatrices(const TensorSpec& spec) {
  return spec.shape.size() == 3 ? spec.shape.front() : 1;
}

// Sums and counts over all experts: what any token at all says of the columns.
struct Totals {
  std::vector<double> sums;  // [cols]
  double count = 0;
};

Totals AddUp(const ImportanceEntry& entry) {
  Totals totals;
  totals.sums.resize(static_cast<size_t>(entry.cols));
  for (size_t i = 0; i < entry.sums.size(); ++i) {
    totals.sums[i % totals.sums.size()] += static_cast<double>(entry.sums[i]);
  }
  for (const float count : entry.counts) {
    totals.count += static_cast<double>(count);
  }
  return totals;
}

}  // namespace

bool UsesImportance(DType dtype) {
  return CanEncode(dtype) && !IsPlainFloat(dtype) && dtype != DType::kQ8_0;
}

verify::Sha256Digest DigestOf(const ImportanceMatrix& matrix) {
  return verify::Sha256(verify::AsBytes(SerializeImportance(matrix)));
}

Result<void> CheckImportance(const ImportanceMatrix& matrix,
                             const verify::ModelConfig& config) {
  size_t found = 0;
  for (const TensorSpec& spec :
       verify::ExpectedTensors(config, verify::NameScheme::kGguf)) {
    const auto it = matrix.entries.find(spec.name);
    if (it == matrix.entries.end() || spec.shape.size() < 2) continue;
    const ImportanceEntry& entry = it->second;
    const uint64_t num_matrices = NumMatrices(spec);
    if (entry.cols != spec.shape.back() ||
        entry.counts.size() != num_matrices) {
      return Fail(ErrorCode::kMismatch,
                  StrCat("importance of \"", EscapeForTerminal(spec.name),
                         "\": ", entry.counts.size(), " times ", entry.cols,
                         " columns, the model has ", num_matrices, " times ",
                         spec.shape.back()))
          .Id("E-IMATRIX")
          .Hint("the importance matrix is of another model");
    }
    ++found;
  }
  if (found > 0) return {};
  return Fail(ErrorCode::kMismatch,
              StrCat("none of the ", matrix.entries.size(),
                     " tensors of the importance matrix is one of the model"))
      .Id("E-IMATRIX")
      .Hint("the importance matrix is of another model");
}

std::vector<float> ColumnWeights(const ImportanceMatrix& matrix,
                                 const TensorSpec& spec, uint64_t expert) {
  const auto it = matrix.entries.find(spec.name);
  if (it == matrix.entries.end()) return {};
  const ImportanceEntry& entry = it->second;
  const auto cols = static_cast<size_t>(entry.cols);
  CHECK(expert < entry.counts.size() && cols == spec.shape.back());
  const Totals totals = AddUp(entry);
  double all = 0;
  for (const double sum : totals.sums) all += sum;
  if (!(all > 0) || !(totals.count > 0)) return {};

  const bool shares_input =
      spec.role == TensorRole::kFfnGate || spec.role == TensorRole::kFfnUp;
  const float* const sums =
      entry.sums.data() + static_cast<size_t>(expert) * cols;
  const auto count =
      static_cast<double>(entry.counts[static_cast<size_t>(expert)]);
  double own = 0;
  for (size_t c = 0; c < cols; ++c) own += static_cast<double>(sums[c]);
  const double flat =
      own > 0 && count > 0 ? own / count / static_cast<double>(cols) : 1.0;
  std::vector<double> values(cols);
  double mean = 0;
  for (size_t c = 0; c < cols; ++c) {
    const double prior = shares_input ? totals.sums[c] / totals.count : flat;
    values[c] = (static_cast<double>(sums[c]) + kPriorTokens * prior) /
                (count + kPriorTokens);
    mean += values[c] / static_cast<double>(cols);
  }
  std::vector<float> weights(cols);
  for (size_t c = 0; c < cols; ++c) {
    weights[c] = static_cast<float>(values[c] + kFloor * mean);
  }
  return weights;
}

}  // namespace inference
