// SPDX-License-Identifier: Apache-2.0
// Reads safetensors: a JSON header of names, dtypes, shapes and offsets, then
// the data. Format: docs/formats/safetensors.md. Tested by
// tests/verify/checkpoint/safetensors_reader_test.cc, fuzzed by
// tests/fuzz/safetensors_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tensor_table.h"

namespace verify {

// The format allows 100 MB, which no tensors need; read as a value, so long a
// header would take several times that.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 32u << 20;
inline constexpr uint64_t kMaxSafetensorsIndexBytes = 32u << 20;
inline constexpr size_t kMaxSafetensorsShards = 10'000;

// The id of the error, kNotFound, for a shard that an index names and that is
// not there: a copy that is no copy, unless only a part was wanted.
inline constexpr std::string_view kShardMissing = "E-SHARD-MISSING";

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

struct SafetensorsIndex {
  // Plain file names, sorted, each once.
  std::vector<std::string> shards;
  // Tensor name and index into `shards`, sorted by name.
  std::vector<std::pair<std::string, uint32_t>> weight_map;
  // Bytes of all tensors, if the index says.
  std::optional<uint64_t> total_size;
};

// Parses model.safetensors.index.json. Errors: kCorrupt (id
// E-SAFETENSORS-INDEX: not such a file, or a shard that is not a plain file
// name), kLimit.
Result<SafetensorsIndex> ParseSafetensorsIndex(std::string_view text);

// One table over all shards: file_index i is `shards[i]` of the index.
// `shards` and `sizes` stand in that order. kCorrupt if a tensor is in the
// index and not in its shard, or the other way round, or the total differs.
Result<TensorTable> JoinShards(const SafetensorsIndex& index,
                               const std::vector<SafetensorsFile>& shards,
                               const std::vector<uint64_t>& sizes);

}  // namespace verify
