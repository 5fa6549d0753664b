// SPDX-License-Identifier: Apache-2.0
// Does a checkpoint hold the model that its configuration describes? Names,
// shapes and dtypes from the table; what the numbers say from the data.
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
#include "verify/structure/number_scan.h"

namespace verify {

enum class FindingKind {
  kMissing,     // expected, not there
  kExtra,       // there, not expected
  kMisshapen,   // other shape than the configuration gives
  kWrongDType,  // a dtype that cannot hold what the tensor holds
  kMixed,       // signs of two models in one checkpoint
  kNotFinite,   // holds NaN or infinity
  kConstant,    // all elements of it or of rows equal (all zero among them)
  kDenormal,    // filled with numbers too small to be weights
  kZeroTail,    // its file ends in zeros: cut short and filled up
  kScale,       // far larger or smaller than its like in the other layers
  kIdentical,   // the same numbers as another tensor
  kDeadGate,    // a router that cannot choose
};
// "missing", "zero tail", ...
std::string_view FindingKindName(FindingKind kind);

enum class Severity {
  kNote,     // worth knowing
  kWarning,  // legal, but no trained model is expected to look like this
  kError,    // not the model that the configuration describes, or damaged
};

struct StructureFinding {
  FindingKind kind = FindingKind::kMissing;
  std::string tensor;
  std::string detail;  // "shape [8, 4], expected [8, 8]", "3 NaN, first at ..."
  Severity severity = Severity::kError;

  bool fatal() const { return severity == Severity::kError; }
};

struct StructureReport {
  uint64_t num_tensors = 0;
  uint64_t num_parameters = 0;
  std::vector<StructureFinding> findings;

  bool ok() const;  // no error
  size_t num_warnings() const;
};

// From the table alone: missing, extra, misshapen, wrong dtype, by the names of
// `config.names`. Buffers that old writers saved beside the weights (rotary
// frequencies) are let pass, as are an output tensor beside tied embeddings and
// the image part of a model whose text part is known (both notes). Plain
// floating-point types that differ from layer to layer are a warning. Beyond 20
// findings of a kind the rest is one finding without a tensor.
StructureReport CheckStructure(const TensorTable& tensors,
                               const ModelConfig& config);
StructureReport CheckStructure(const Checkpoint& checkpoint,
                               const ModelConfig& config);

// What the scan found in one tensor.
struct TensorStatistics {
  size_t tensor = 0;      // index in the table of the checkpoint
  uint64_t elements = 0;  // that were gone through
  NumberScan whole;
  // Where the tensor holds a matrix for each expert, those one by one.
  std::vector<NumberScan> slabs;
};

// Reads every tensor once (mapped) and adds to `report` what its numbers say
// (number_findings.h lists the limits); of packed types it looks at the scales.
// Runs at the speed of memory on the threads of `pool`; `progress` may be null.
// One entry for each tensor that can be scanned, in the order of the table.
// Errors: kCancelled.
Result<std::vector<TensorStatistics>> ScanNumbers(const Checkpoint& checkpoint,
                                                  ThreadPool& pool,
                                                  const CancelToken& cancel,
                                                  ProgressSink* progress,
                                                  StructureReport& report);

}  // namespace verify
