// SPDX-License-Identifier: Apache-2.0
// Rows of a mapped tensor, in any order of rows and any element type that can
// be decoded, as rows of another type. Tested by
// tests/inference/convert/tensor_stream_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/base/thread_pool.h"
#include "verify/checkpoint/tensor_table.h"

namespace inference {

// A source tensor read as a matrix: the last dimension is a row.
struct RowSource {
  const verify::TensorInfo* tensor = nullptr;
  verify::ByteSpan bytes;  // of the tensor, mapped; must outlive the stream
  // Not 0: rows of q and k in Hugging Face order are read in interleaved order
  // (docs/formats/gguf.md); the number of heads.
  uint64_t half_rotated_heads = 0;
};

// Converts all rows of `source` to `to`, in order, and hands them on in pieces
// of at most a few MiB; the bytes do not depend on the number of threads.
// Errors: kUnsupported (an element type that is not decoded), kCorrupt with
// the id E-NOT-FINITE (a value that is not finite or does not fit `to`),
// kCancelled, those of `sink`.
using ByteSink = std::function<verify::Result<void>(verify::ByteSpan)>;
verify::Result<void> StreamRows(const RowSource& source, verify::DType to,
                                verify::ThreadPool& pool,
                                const verify::CancelToken& cancel,
                                const ByteSink& sink);

}  // namespace inference
