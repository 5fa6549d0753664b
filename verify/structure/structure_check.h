// SPDX-License-Identifier: Apache-2.0
// Does a checkpoint hold the model that its configuration describes? Names,
// shapes and dtypes from the table; NaN and infinity from the data.
// Tested by tests/verify/structure/structure_check_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/base/thread_pool.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace verify {

enum class FindingKind {
  kMissing,     // expected, not there
  kExtra,       // there, not expected
  kMisshapen,   // other shape than the configuration gives
  kWrongDType,  // a dtype that cannot be a weight
  kNotFinite,   // holds NaN or infinity
  kConstant,    // all elements equal (all zero among them)
};
std::string_view FindingKindName(FindingKind kind);

struct StructureFinding {
  FindingKind kind = FindingKind::kMissing;
  std::string tensor;
  std::string detail;  // "shape [8, 4], expected [8, 8]", "3 NaN, first at ..."
  bool fatal = true;   // constant tensors are only reported
};

struct StructureReport {
  uint64_t num_tensors = 0;
  uint64_t num_parameters = 0;
  std::vector<StructureFinding> findings;

  bool ok() const;  // no fatal finding
};

// From the table alone: missing, extra, misshapen, wrong dtype, by the names of
// `config.names`. Buffers that old writers saved beside the weights (rotary
// frequencies) are let pass, as is an output tensor beside tied embeddings
// (reported, not fatal). Beyond 20 findings of a kind the rest is one finding
// without a tensor.
StructureReport CheckStructure(const TensorTable& tensors,
                               const ModelConfig& config);
StructureReport CheckStructure(const Checkpoint& checkpoint,
                               const ModelConfig& config);

// Reads every tensor once (mapped) and adds NaN, infinity and constants to
// `report`; of packed types it looks at the scales. Runs at the speed of
// memory on the threads of `pool`; `progress` may be null.
// Errors: kCancelled.
Result<void> ScanNumbers(const Checkpoint& checkpoint, ThreadPool& pool,
                         const CancelToken& cancel, ProgressSink* progress,
                         StructureReport& report);

}  // namespace verify
