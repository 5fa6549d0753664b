// SPDX-License-Identifier: Apache-2.0
// Which model this is, found out in a moment: for what was computed with one
// and must not be used with another. Finds mistakes, not malice: most bytes of
// the weights are not looked at.
// Tested by tests/inference/model/session_file_test.cc.
#pragma once

#include "inference/model/model.h"
#include "verify/digest/digest.h"

namespace inference {

// Pages of weights that are looked at, at most.
inline constexpr size_t kIdentityPages = 256;
inline constexpr size_t kIdentityPageBytes = 4096;

// SHA-256 over: every hyperparameter that the engine computes with; name, type,
// shape, place and size of every tensor; of kIdentityPages tensors, evenly
// chosen, the page in the middle; and the bytes of every piece of the
// vocabulary. The name of a file does not matter, its form (.pth, GGUF) does.
// Reads about 1 MiB. Thread-safe.
verify::Sha256Digest IdentifyModel(const Model& model);

}  // namespace inference
