// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "verify/checkpoint/safetensors_index.h"
#include "verify/checkpoint/safetensors_reader.h"

// The tensors of an accepted file tile its data; the same bytes as an index
// give plain shard names or an error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::ByteSpan bytes = std::as_bytes(std::span(data, size));
  const auto index = verify::ParseSafetensorsIndex(verify::AsText(bytes));
  if (index) {
    for (const std::string& shard : index->shards) {
      if (shard.empty() || shard.find('/') != std::string::npos ||
          shard.find('\0') != std::string::npos || shard[0] == '.') {
        std::abort();
      }
    }
    for (const auto& [name, shard] : index->weight_map) {
      if (shard >= index->shards.size()) std::abort();
    }
  }
  const auto file = verify::ReadSafetensors(verify::MemorySource(bytes));
  if (!file) return 0;
  uint64_t end = file->data_offset;
  for (const verify::TensorInfo& tensor : file->tensors.tensors()) {
    if (tensor.offset != end) std::abort();
    end += tensor.size_bytes;
  }
  if (end != size) std::abort();
  return 0;
}
