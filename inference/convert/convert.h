// SPDX-License-Identifier: Apache-2.0
// A checkpoint that verify can open to a GGUF file that llama.cpp loads.
// Format: docs/formats/gguf.md. Tested by
// tests/inference/convert/convert_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

struct ConvertOptions {
  std::string input;   // file or folder, as Checkpoint::Open takes it
  std::string output;  // the GGUF file; written beside and renamed
  verify::DType to = verify::DType::kBF16;  // any that CanEncode names
  bool overwrite = false;
  size_t num_threads = 0;
};

struct ConvertOutcome {
  std::string path;
  uint64_t bytes = 0;
  uint64_t num_tensors = 0;
  std::vector<std::string> notes;  // such as a tensor kept in another type
};

// Streams tensor by tensor through a bounded buffer; the bytes of the result
// do not depend on the number of threads. Checks free space first; opens the
// result again with verify's reader before the rename.
// Errors: kIo (E-EXISTS, E-DISK-FULL, ...), kUnsupported (type, family),
// kCorrupt (structure), kCancelled (nothing left behind).
verify::Result<ConvertOutcome> Convert(const ConvertOptions& options,
                                       const verify::CancelToken& cancel,
                                       verify::ProgressSink* progress);

}  // namespace inference
