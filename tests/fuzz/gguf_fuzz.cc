// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "verify/checkpoint/gguf_reader.h"

// The tensors of an accepted file follow each other inside its data.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::MemorySource source(std::as_bytes(std::span(data, size)));
  const auto gguf = verify::ReadGguf(source);
  if (!gguf) return 0;
  uint64_t end = gguf->data_offset;
  for (const verify::TensorInfo& tensor : gguf->tensors.tensors()) {
    if (tensor.offset < end || tensor.offset % gguf->alignment != 0) {
      std::abort();
    }
    end = tensor.offset + tensor.size_bytes;
    if (end > size) std::abort();
  }
  return 0;
}
