// SPDX-License-Identifier: Apache-2.0
// Importance matrices as files: GGUF with two tensors of f32 for each weight,
// as llama.cpp's llama-imatrix writes them. Format: docs/formats/imatrix.md.
// Tested by tests/inference/convert/importance_file_test.cc, fuzzed by
// tests/fuzz/imatrix_fuzz.cc.
#pragma once

#include <cstdint>
#include <string>

#include "inference/convert/importance.h"
#include "verify/base/file.h"
#include "verify/base/result.h"

namespace inference {

// Of the largest mixtures some 100 MB.
inline constexpr uint64_t kMaxImportanceBytes = uint64_t{1} << 30;

// Same matrix, same bytes. Requires entries whose sizes fit, of names below
// 56 bytes.
std::string SerializeImportance(const ImportanceMatrix& matrix);

// Errors: kCorrupt, E-IMATRIX (no importance matrix, a pair that is not whole,
// a number that is not finite or below zero), kLimit (over
// kMaxImportanceBytes), those of ReadGguf.
verify::Result<ImportanceMatrix> ParseImportance(
    const verify::ByteSource& file);

// The same of a path, which stands in front of errors; kNotFound, kIo.
verify::Result<ImportanceMatrix> ReadImportance(const std::string& path);

}  // namespace inference
