// SPDX-License-Identifier: Apache-2.0
// Rows of a stored matrix, of any element type that can be decoded, in the
// order that GGUF has them, as rows of another type. Tested by
// tests/inference/convert/tensor_stream_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "inference/tensor/stored_matrix.h"
#include "verify/base/bytes.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/base/thread_pool.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

// Converts all rows of `source` to `to`, in order (rows of q and k that are
// half-rotated: in interleaved order, docs/formats/gguf.md), and hands them on
// in pieces of at most a few MiB; the bytes do not depend on the number of
// threads. Errors: kUnsupported (an element type that is not decoded), kCorrupt
// with the id E-NOT-FINITE (a value that is not finite or does not fit `to`),
// kCancelled, those of `sink`.
using ByteSink = std::function<verify::Result<void>(verify::ByteSpan)>;
verify::Result<void> StreamRows(const StoredMatrix& source, verify::DType to,
                                verify::ThreadPool& pool,
                                const verify::CancelToken& cancel,
                                const ByteSink& sink);

}  // namespace inference
