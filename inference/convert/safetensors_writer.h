// SPDX-License-Identifier: Apache-2.0
// What stands before the data of a safetensors file, and the index over several
// such files. Format: docs/formats/safetensors.md, section 3.
// Tested by tests/inference/convert/safetensors_writer_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

struct SafetensorsEntry {
  std::string name;
  verify::DType dtype = verify::DType::kBF16;
  std::vector<uint64_t> shape;
  uint64_t bytes = 0;
};

// Whether the format has the type, as far as it is written: f32, f16, bf16.
bool IsSafetensorsType(verify::DType dtype);

// In what order tensors of one file stand: the widest type first, so that each
// begins at a multiple of its size, then by name.
bool StandsBefore(const SafetensorsEntry& a, const SafetensorsEntry& b);

// The length, and the header with spaces up to a multiple of 8; the data of the
// entries follow in their order. Same entries, same bytes. Requires types that
// are written. kLimit: longer than readers take.
verify::Result<std::string> SafetensorsHead(
    std::span<const SafetensorsEntry> entries);

// At least as long as the header of that entry, whatever its offsets.
uint64_t MaxHeaderBytesOf(const SafetensorsEntry& entry);
// The same of what stands around the entries.
inline constexpr uint64_t kMaxHeaderFrameBytes = 64;

// model.safetensors.index.json: which tensor is in which file.
std::string SafetensorsIndexJson(
    const std::map<std::string, std::string>& files, uint64_t total_bytes);

}  // namespace inference
