// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "inference/convert/importance.h"
#include "inference/convert/importance_file.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"

// What is read fits together, and written anew it reads the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::MemorySource file(std::as_bytes(std::span(data, size)));
  const auto matrix = inference::ParseImportance(file);
  if (!matrix) return 0;
  for (const auto& [name, entry] : matrix->entries) {
    if (entry.sums.size() != entry.cols * entry.counts.size() ||
        entry.sums.size() * sizeof(float) > size) {
      std::abort();
    }
  }
  const std::string bytes = inference::SerializeImportance(*matrix);
  const auto again =
      inference::ParseImportance(verify::MemorySource(verify::AsBytes(bytes)));
  if (!again || DigestOf(*again) != DigestOf(*matrix)) std::abort();
  return 0;
}
