// SPDX-License-Identifier: Apache-2.0
// Computes units of a plan on all processors and hands them on in order.
// Tested by tests/inference/convert/pipeline_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "inference/convert/convert_plan.h"
#include "inference/convert/source_reader.h"
#include "verify/base/bytes.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace inference {

// `todo` in the order in which the bytes stand in the source, if it is read
// forward only; else as it is.
std::vector<size_t> InReadingOrder(const ConvertPlan& plan,
                                   const SourceReader& reader,
                                   std::vector<size_t> todo);

// A unit that has been computed; `sum` is the XXH64 of its bytes. Called on
// the thread that called RunUnits, in the order of `todo`, while others
// compute on.
using UnitSink = std::function<verify::Result<void>(
    size_t unit, verify::ByteSpan bytes, uint64_t sum)>;

// Computes plan.units[i] for each i of `todo`. A unit is the work of one
// thread, so that small tensors and the ends of large ones keep nobody waiting.
// At most a few units for each thread are in memory, and what the one at hand
// is made of: sources are read once, ahead of their use, and never through
// their maps. One that is read forward only is read by one thread at a time, in
// the order of `todo` (InReadingOrder). num_threads 0: as many as the process
// may run on. Errors: of the first unit that does not convert or cannot be read
// (SourceReader::Read), kCancelled, those of `sink`.
verify::Result<void> RunUnits(const ConvertPlan& plan,
                              const SourceReader& reader,
                              std::span<const size_t> todo, size_t num_threads,
                              const verify::CancelToken& cancel,
                              const UnitSink& sink);

}  // namespace inference
