// SPDX-License-Identifier: Apache-2.0
// What this machine can do at most, measured on the spot: a rate of the engine
// says little without. Each takes a fraction of a second.
// Tested by tests/inference/eval/speed_test.cc.
#pragma once

#include "verify/base/result.h"
#include "verify/base/thread_pool.h"

namespace inference {

// Bytes per second that all threads together read from memory: the best of
// several passes over a buffer that no cache holds (512 MiB, or an eighth of
// the memory if that is less). Errors: kLimit (no memory).
verify::Result<double> MeasureReadBandwidth(verify::ThreadPool& pool);

// Operations per second of float multiply-adds on all threads, the best of
// several passes; two operations each.
double MeasureFloatPeak(verify::ThreadPool& pool);

}  // namespace inference
