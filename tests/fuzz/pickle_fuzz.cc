// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "verify/checkpoint/pickle_reader.h"

// The tree of an accepted pickle holds only itself, has no cycle (each value is
// deeper than what it holds), and text that lies in the input.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::ByteSpan bytes = std::as_bytes(std::span(data, size));
  const auto tree = verify::ReadPickle(bytes);
  if (!tree) return 0;
  if (tree->root() >= tree->size()) std::abort();
  for (size_t i = 0; i < tree->size(); ++i) {
    const auto& value = (*tree)[static_cast<verify::PickleId>(i)];
    if (value.depth > verify::kMaxPickleDepth) std::abort();
    for (const verify::PickleId item : tree->Items(value)) {
      if (item >= tree->size()) std::abort();
      if ((*tree)[item].depth >= value.depth) std::abort();
    }
    const verify::ByteSpan text = verify::AsBytes(value.text);
    if (!text.empty() &&
        (text.data() < bytes.data() ||
         text.data() + text.size() > bytes.data() + bytes.size())) {
      std::abort();
    }
  }
  return 0;
}
