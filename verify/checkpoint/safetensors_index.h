// SPDX-License-Identifier: Apache-2.0
// Reads model.safetensors.index.json, which says what tensor is in what file,
// and joins the files to one table. Format: docs/formats/safetensors.md.
// Tested by tests/verify/checkpoint/safetensors_index_test.cc, fuzzed by
// tests/fuzz/safetensors_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/safetensors_reader.h"
#include "verify/checkpoint/tensor_table.h"

namespace verify {

inline constexpr uint64_t kMaxSafetensorsIndexBytes = 16u << 20;
// The largest releases have over 90,000.
inline constexpr size_t kMaxIndexTensors = 1u << 18;
inline constexpr size_t kMaxSafetensorsShards = 10'000;

struct SafetensorsIndex {
  // Plain file names, sorted, each once.
  std::vector<std::string> shards;
  // Tensor name and index into `shards`, sorted by name.
  std::vector<std::pair<std::string, uint32_t>> weight_map;
  // Bytes of all tensors, if the index says.
  std::optional<uint64_t> total_size;
};

// Errors: kCorrupt (id E-SAFETENSORS-INDEX: not such a file, or a shard that is
// not a plain file name; or no valid JSON), kLimit.
Result<SafetensorsIndex> ParseSafetensorsIndex(std::string_view text);

// One table over all shards: file_index i is `shards[i]` of the index.
// `shards` and `sizes` stand in that order. kCorrupt if a tensor is in the
// index and not in its shard, or the other way round, or the total differs.
Result<TensorTable> JoinShards(const SafetensorsIndex& index,
                               const std::vector<SafetensorsFile>& shards,
                               const std::vector<uint64_t>& sizes);

}  // namespace verify
