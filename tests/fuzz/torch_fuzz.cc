// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "verify/checkpoint/torch_reader.h"

// Every tensor of an accepted archive lies inside one record.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::MemorySource source(std::as_bytes(std::span(data, size)));
  const auto torch = verify::ReadTorch(source);
  if (!torch) return 0;
  for (const verify::TensorInfo& tensor : torch->tensors.tensors()) {
    bool is_inside = false;
    for (const verify::ZipEntry& record : torch->records) {
      is_inside |= tensor.offset >= record.payload_offset &&
                   tensor.offset + tensor.size_bytes <=
                       record.payload_offset + record.size;
    }
    if (!is_inside || tensor.offset + tensor.size_bytes > size) std::abort();
  }
  return 0;
}
