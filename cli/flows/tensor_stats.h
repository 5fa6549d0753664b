// SPDX-License-Identifier: Apache-2.0
// Statistics of every tensor as a JSON file: docs/formats/tensor_stats.md.
// Tested by tests/scripts/tensors.py.
#pragma once

#include <string>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/structure_check.h"

namespace cli {

// Replaces `path` as a whole. Errors: kIo.
verify::Result<void> WriteTensorStatistics(
    const verify::Checkpoint& checkpoint,
    const std::vector<verify::TensorStatistics>& statistics,
    const verify::StructureReport& report, const std::string& path);

}  // namespace cli
