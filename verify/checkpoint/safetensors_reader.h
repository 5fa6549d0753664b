// SPDX-License-Identifier: Apache-2.0
// Reads safetensors: a JSON header of names, dtypes, shapes and offsets, then
// the data. Format: docs/formats/safetensors.md. Tested by
// tests/verify/checkpoint/safetensors_reader_test.cc, fuzzed by
// tests/fuzz/safetensors_fuzz.cc.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tensor_table.h"

namespace verify {

// The format allows 100 MB, which no tensors need; read as a value, so long a
// header would take several times that.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 32u << 20;

struct SafetensorsFile {
  uint64_t data_offset = 0;
  TensorTable tensors;  // in the order of the data, file_index 0
  std::vector<std::pair<std::string, std::string>> metadata;
};

// Parses the header; reads no tensor data. The tensors fill the data without
// hole or overlap, to the last byte of the file.
// Errors: kCorrupt (a rule broken; id E-SAFETENSORS), kUnsupported (a dtype
//         that is not computed with), kLimit.
Result<SafetensorsFile> ReadSafetensors(const ByteSource& file);

}  // namespace verify
